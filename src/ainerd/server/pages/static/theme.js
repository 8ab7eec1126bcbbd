// Colours that mean the same in every picture of ainerd; see views/_style.py.

// Okabe and Ito, distinct to the colour-blind too; after seven the same again, darker.
const PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442"];
const UNASSIGNED = "#9a9a9a";
const NEXT = "#ffd700";

/** Red, green and blue of "#rrggbb", 0 to 255. */
function rgb(colour) {
  return [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
}

/** Colour of a regime; grey if unassigned (-1). */
function colour(regime) {
  if (!(regime >= 0)) return UNASSIGNED;
  const turn = Math.floor(regime / PALETTE.length);
  const parts = rgb(PALETTE[regime % PALETTE.length]).map((part) => Math.round(part * 0.55 ** turn));
  return "#" + parts.map((part) => part.toString(16).padStart(2, "0")).join("");
}

/** What can be read on a colour: white or black. */
function inkOn(background) {
  const [red, green, blue] = rgb(background);
  return (0.3 * red + 0.59 * green + 0.11 * blue) / 255 < 0.6 ? "#ffffff" : "#000000";
}

// Matplotlib's magma, each sixteenth.
const MAGMA = [
  "#000004",
  "#0b0924",
  "#20114b",
  "#3b0f70",
  "#57157e",
  "#721f81",
  "#8c2981",
  "#a8327d",
  "#c43c75",
  "#de4968",
  "#f1605d",
  "#fa7f5e",
  "#fe9f6d",
  "#febf84",
  "#fddea0",
  "#fcfdbf",
];
const SCALE = MAGMA.map((each, k) => [k / (MAGMA.length - 1), each]);

/** 256 colours of the scale, as (256 × 3) bytes. */
const SHADES = (() => {
  const stops = MAGMA.map(rgb);
  const shades = new Uint8Array(256 * 3);
  for (let k = 0; k < 256; k++) {
    const at = (k / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    for (let part = 0; part < 3; part++)
      shades[3 * k + part] = stops[low][part] + (at - low) * (stops[low + 1][part] - stops[low][part]);
  }
  return shades;
})();

// Light and dark, and the frame around every view.

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
const useTheme = () => useContext(Theme);

const THEME = "ainerd-theme";
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
  Object.assign(link, { rel: "stylesheet", href: `${OURS}/static/ainerd.css` });
  document.head.append(link);
}

style();

/**
 * The frame of a view: colours, size of type, and two buttons, for the whole screen and for light or dark.
 *
 * `head` stands at the left of the buttons.
 */
function Frame({ label, head, children }) {
  const element = useRef(null);
  const [choice, choose] = useState(() => rememberedTheme());
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
      localStorage.setItem(THEME, following);
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

function rememberedTheme() {
  try {
    const kept = localStorage.getItem(THEME);
    return CHOICES.includes(kept) ? kept : "auto";
  } catch {
    return "auto";
  }
}
