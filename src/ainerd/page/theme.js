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
  const turned = rgb(PALETTE[regime % PALETTE.length]).map((part) => part * 0.55 ** Math.floor(regime / PALETTE.length));
  return "#" + turned.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("");
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

/** Whether the person's system prefers dark colors. */
function useDarkSystem() {
  const query = useRef(window.matchMedia("(prefers-color-scheme: dark)")).current;
  const [isDark, setDark] = useState(query.matches);
  useEffect(() => listened(query, "change", () => setDark(query.matches)), []);
  return isDark;
}

const sheet = document.createElement("link");
Object.assign(sheet, { rel: "stylesheet", href: `${FILES}ainerd.css` });
document.head.append(sheet);

/**
 * The frame of a view: colors, font size, `title` of the window, `head`, and buttons for the whole window and for light or dark. A view that
 * `fills` the window does so at first, unless the person has left the whole window before.
 */
function Frame({ label, title = "ainerd", head, fills = false, children }) {
  const element = useRef(null);
  const [stored, choose] = useStored("ainerd-theme", "auto");
  const choice = stored in THEMES ? stored : "auto";
  const [wanted, want] = useStored("ainerd-whole", "yes");
  const [whole, setWhole] = useState(fills && wanted === "yes");
  const [size, setSize] = useState(13);
  const isDarkSystem = useDarkSystem();
  const dark = choice === "auto" ? isDarkSystem : choice === "dark";
  useEffect(() => {
    const measure = () => element.current && setSize(parseFloat(getComputedStyle(element.current).fontSize));
    measure();
    const stops = [listened(sheet, "load", measure), listened(window, "resize", measure)];
    return () => stops.forEach((stop) => stop());
  }, []);
  useEffect(() => {
    document.title = title;
    return () => void (document.title = "Tiled");
  }, [title]);
  useEffect(() => {
    document.documentElement.style.overflow = whole ? "hidden" : "";
    const stop = listened(window, "keydown", (event) => event.key === "Escape" && setWhole(false));
    return () => {
      document.documentElement.style.overflow = "";
      stop();
    };
  }, [whole]);
  const turnWhole = () => {
    if (fills) want(whole ? "no" : "yes");
    setWhole(!whole);
  };
  const [next, symbol, name] = THEMES[choice];
  const quiet = (text, onClick, title, more) => button(text, onClick, { className: "quiet", title, ...more });
  const ways = whole ? ["⤡", "back into Tiled", " (Esc)"] : ["⤢", "the whole window", ""];
  const turn = { "aria-label": ways[1], "aria-pressed": whole };
  const className = `ainerd ${dark ? "dark" : "light"} ${whole ? "whole" : ""}`;
  return h(
    Theme.Provider,
    { value: { ...(dark ? DARK : LIGHT), size } },
    h(
      "main",
      { ref: element, className, "aria-label": label, "data-ainerd": "view" },
      h(
        "header",
        { className: "head" },
        h("div", { className: "title-line" }, head),
        quiet(symbol, () => choose(next), `colors: ${name}`, { "aria-label": `colors: ${name}; change` }),
        quiet(ways[0], turnWhole, ways[1] + ways[2], turn),
      ),
      children,
    ),
  );
}
