// Colors, light and dark, and the frame around every view.

// Okabe and Ito: distinct to the color-blind too, and the same in all pictures of ainerd (views/_style.py). After seven
// regimes the same colors come again, darker.
const PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442"];
const UNASSIGNED = "#9a9a9a";
const NEXT = "#ffd700";

// Matplotlib's magma, every sixteenth color, as a scale of Plotly.
const MAGMA =
  "#000004 #0b0924 #20114b #3b0f70 #57157e #721f81 #8c2981 #a8327d " +
  "#c43c75 #de4968 #f1605d #fa7f5e #fe9f6d #febf84 #fddea0 #fcfdbf";
const SCALE = MAGMA.split(" ").map((color, k, all) => [k / (all.length - 1), color]);

/** Red, green and blue of "#rrggbb", 0 to 255. */
const rgb = (color) => [1, 3, 5].map((k) => parseInt(color.slice(k, k + 2), 16));

/** The brightness of red, green and blue, 0 to 1. */
const brightness = ([red, green, blue]) => (0.3 * red + 0.59 * green + 0.11 * blue) / 255;

/** The color of a regime; gray if unassigned (-1). */
function regimeColor(regime) {
  if (!(regime >= 0)) return UNASSIGNED;
  const turn = Math.floor(regime / PALETTE.length);
  const parts = rgb(PALETTE[regime % PALETTE.length]).map((part) => Math.round(part * 0.55 ** turn));
  return "#" + parts.map((part) => part.toString(16).padStart(2, "0")).join("");
}

/** The color of text that is legible on a background: white or black. */
const inkOn = (background) => (brightness(rgb(background)) < 0.6 ? "#ffffff" : "#000000");

const LIGHT = {
  dark: false, ink: "#1c2126", soft: "#5b6670", line: "#d7dce1", paper: "#ffffff", band: "rgba(0,0,0,.06)",
}; // prettier-ignore
const DARK = {
  dark: true, ink: "#e6e9ec", soft: "#9aa5b0", line: "#333b44", paper: "#171c22", band: "rgba(255,255,255,.08)",
}; // prettier-ignore

const Theme = createContext({ ...LIGHT, size: 13 });
const useTheme = () => useContext(Theme);

/** Each choice of a theme, with the next one, its symbol and its name. */
const THEMES = {
  auto: ["light", "◐", "as the system"],
  light: ["dark", "☀", "light"],
  dark: ["auto", "☾", "dark"],
};

/** Whether the surroundings of the view are dark: Tiled may have a theme of its own some day. */
function surroundingIsDark(element) {
  for (let at = element?.parentElement; at; at = at.parentElement) {
    const parts = getComputedStyle(at).backgroundColor.match(/[\d.]+/g)?.map(Number);
    if (parts && (parts.length < 4 || parts[3] > 0.5)) return brightness(parts) < 0.5;
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

const sheet = document.createElement("link");
Object.assign(sheet, { rel: "stylesheet", href: `${OURS}/static/ainerd.css` });
document.head.append(sheet);

/** The frame of a view: colors, font size, `head`, and buttons for the whole window and for light or dark. */
function Frame({ label, head, children }) {
  const element = useRef(null);
  const [stored, choose] = useStored("ainerd-theme", "auto");
  const choice = stored in THEMES ? stored : "auto";
  const [whole, setWhole] = useState(false);
  const [size, setSize] = useState(13);
  const dark = useDark(element, choice);
  useEffect(() => {
    const measure = () => element.current && setSize(parseFloat(getComputedStyle(element.current).fontSize));
    measure();
    sheet.addEventListener("load", measure);
    window.addEventListener("resize", measure);
    return () => {
      sheet.removeEventListener("load", measure);
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
  const [next, symbol, name] = THEMES[choice];
  const quiet = (text, onClick, title, label, more) =>
    button(text, onClick, { className: "quiet", title, "aria-label": label, ...more });
  return h(
    Theme.Provider,
    { value: { ...(dark ? DARK : LIGHT), size } },
    h(
      "main",
      {
        ref: element,
        className: `ainerd ${dark ? "dark" : "light"} ${whole ? "whole" : ""}`,
        "aria-label": label,
        "data-ainerd": "view",
      },
      h(
        "header",
        { className: "head" },
        h("div", { className: "said" }, head),
        quiet(symbol, () => choose(next), `colors: ${name}`, `colors: ${name}; change`),
        whole
          ? quiet("⤡", () => setWhole(false), "back into Tiled (Esc)", "back into Tiled", { "aria-pressed": true })
          : quiet("⤢", () => setWhole(true), "the whole window", "the whole window", { "aria-pressed": false }),
      ),
      children,
    ),
  );
}
