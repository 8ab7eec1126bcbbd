// Light and dark, and the frame around every view.
import { createContext, h, useContext, useEffect, useLayoutEffect, useRef, useState } from "./react.js";

const LIGHT = {
  dark: false,
  ink: "#1c2126",
  soft: "#5b6670",
  line: "#d7dce1",
  paper: "#ffffff",
  ground: "#f5f6f8",
  band: "rgba(0,0,0,.06)",
};
const DARK = {
  dark: true,
  ink: "#e6e9ec",
  soft: "#9aa5b0",
  line: "#333b44",
  paper: "#171c22",
  ground: "#101418",
  band: "rgba(255,255,255,.08)",
};

const Theme = createContext({ ...LIGHT, size: 13 });
export const useTheme = () => useContext(Theme);

const KEPT = "ainerd-theme";
const CHOICES = ["auto", "light", "dark"];

/** Whether what lies around the page is dark: Tiled's own theme, if it has one some day. */
function surroundingIsDark(element) {
  for (let at = element?.parentElement; at; at = at.parentElement) {
    const parts = getComputedStyle(at)
      .backgroundColor.match(/[\d.]+/g)
      ?.map(Number);
    if (parts && (parts.length < 4 || parts[3] > 0.5))
      return (0.3 * parts[0] + 0.59 * parts[1] + 0.11 * parts[2]) / 255 < 0.5;
  }
  return false;
}

function useDark(element, choice) {
  const query = useRef(window.matchMedia("(prefers-color-scheme: dark)")).current;
  const [dark, setDark] = useState(query.matches);
  useLayoutEffect(() => {
    const look = () =>
      setDark(choice === "auto" ? query.matches || surroundingIsDark(element.current) : choice === "dark");
    look();
    query.addEventListener("change", look);
    return () => query.removeEventListener("change", look);
  }, [choice]);
  return dark;
}

let styled = false;

/** The style sheet, once a page. */
function style() {
  if (styled) return;
  styled = true;
  const link = document.createElement("link");
  Object.assign(link, { rel: "stylesheet", href: new URL("ainerd.css", import.meta.url).href });
  document.head.append(link);
}

style();

/**
 * The frame of a view: colours, size of type, and two buttons, for the whole screen and for light or dark.
 *
 * `head` stands at the left of the buttons.
 */
export function Frame({ label, head, children }) {
  const element = useRef(null);
  const [choice, choose] = useState(() => remembered());
  const [whole, setWhole] = useState(false);
  const [size, setSize] = useState(13);
  const dark = useDark(element, choice);
  useEffect(() => {
    const measure = () => element.current && setSize(parseFloat(getComputedStyle(element.current).fontSize));
    measure();
    const sheet = [...document.querySelectorAll("link[rel=stylesheet]")].find((each) =>
      each.href.endsWith("ainerd.css"),
    );
    sheet?.addEventListener("load", measure);
    window.addEventListener("resize", measure);
    return () => {
      sheet?.removeEventListener("load", measure);
      window.removeEventListener("resize", measure);
    };
  }, []);
  useEffect(() => {
    if (!whole) return;
    const leave = (event) => event.key === "Escape" && setWhole(false);
    window.addEventListener("keydown", leave);
    document.documentElement.style.overflow = "hidden";
    return () => {
      window.removeEventListener("keydown", leave);
      document.documentElement.style.overflow = "";
    };
  }, [whole]);
  const turn = () => {
    const following = CHOICES[(CHOICES.indexOf(choice) + 1) % 3];
    try {
      localStorage.setItem(KEPT, following);
    } catch {} // a browser that keeps nothing
    choose(following);
  };
  const said = { auto: "as the system", light: "light", dark: "dark" }[choice];
  const classes = ["ainerd", dark ? "dark" : "light", ...(whole ? ["whole"] : [])].join(" ");
  return h(
    Theme.Provider,
    { value: { ...(dark ? DARK : LIGHT), size } },
    h(
      "main",
      { ref: element, className: classes, "aria-label": label, "data-ainerd": "view" },
      h(
        "header",
        { className: "head" },
        h("div", { className: "said" }, head),
        h(
          "button",
          {
            type: "button",
            className: "quiet",
            onClick: turn,
            title: `colours: ${said}`,
            "aria-label": `colours: ${said}; change`,
          },
          { auto: "◐", light: "☀", dark: "☾" }[choice],
        ),
        h(
          "button",
          {
            type: "button",
            className: "quiet",
            "aria-pressed": whole,
            onClick: () => setWhole(!whole),
            title: whole ? "back into Tiled (Esc)" : "the whole window",
            "aria-label": whole ? "back into Tiled" : "the whole window",
          },
          whole ? "⤡" : "⤢",
        ),
      ),
      children,
    ),
  );
}

function remembered() {
  try {
    const kept = localStorage.getItem(KEPT);
    return CHOICES.includes(kept) ? kept : "auto";
  } catch {
    return "auto";
  }
}
