// React is Tiled's own, so that nothing has to be built.
const React = window.React;
const { createElement: h, createContext, useContext, useId, useMemo, useRef, useState } = React;
const { useEffect } = React;

/** Shows the error of a panel in its place, so that the other panels stay. */
class Safe extends React.Component {
  constructor(props) {
    super(props);
    this.state = { error: null };
  }
  static getDerivedStateFromError(error) {
    return { error };
  }
  componentDidUpdate(before) {
    if (this.state.error && before.children !== this.props.children) this.setState({ error: null });
  }
  render() {
    if (!this.state.error) return this.props.children;
    return nothing(`${this.props.what} cannot be drawn: ${this.state.error.message}`, "alert");
  }
}

/** The value of the promise that `read()` returns, read again when `inputs` change: `{value, error}`, empty before. */
function useAsync(read, inputs) {
  const [result, setResult] = useState({});
  useEffect(() => {
    let current = true;
    read()?.then(
      (value) => current && setResult({ value }),
      (error) => current && setResult((old) => ({ ...old, error })),
    );
    return () => void (current = false);
  }, inputs);
  return result;
}

/** Listen to an event of a target; returns the function that stops it. */
function listened(target, event, act) {
  target.addEventListener(event, act);
  return () => target.removeEventListener(event, act);
}

/** A setting, which the browser keeps for all ports of this host, and a function that changes it. */
function useStored(key, initial) {
  const [value, setValue] = useState(() => readStored(key) ?? initial);
  const change = (next) => {
    try {
      document.cookie = `${key}=${encodeURIComponent(next)}; path=/; max-age=31536000; SameSite=Strict`;
    } catch {} // the browser stores nothing
    setValue(next);
  };
  return [value, change];
}

function readStored(key) {
  try {
    const kept = document.cookie.split("; ").find((each) => each.startsWith(`${key}=`));
    return kept ? decodeURIComponent(kept.slice(key.length + 1)) : null;
  } catch {
    return null;
  }
}

/** A paragraph in place of a missing part. */
const nothing = (text, role) => h("p", { className: "nothing", role }, text);

/** A button; `more` are further properties. */
const button = (text, onClick, more = {}) => h("button", { type: "button", onClick, ...more }, text);

/** A dot in the color of a regime. */
const dot = (background) => h("i", { key: "dot", className: "mark", style: { background }, "aria-hidden": true });

/** A table; its head has a cell for each `{name, text, unseen, …}`; an `unseen` text is for screen readers only. */
function Table({ cells, children }) {
  const cell = ({ name, text = name, unseen, ...more }) =>
    h("th", { key: name, scope: "col", ...more }, unseen ? h("span", { className: "unseen" }, text) : text);
  return h("table", null, h("thead", null, h("tr", null, cells.map(cell))), h("tbody", null, children));
}

/** A labelled field of one line; `onText` gets its text, and `more` are further properties of the input. */
function Field({ label, value, onText, children, ...more }) {
  const id = useId();
  const input = h("input", { id, value, onChange: (e) => onText(e.target.value), ...more });
  return h("p", { className: "row" }, h("label", { htmlFor: id }, label), input, children);
}

/** A list of `options`, as `[value, text]`, of which a person selects one. */
function Select({ label, value, options, onValue }) {
  const option = ([value, text]) => h("option", { key: value, value }, text);
  return h("select", { value, onChange: (e) => onValue(e.target.value), "aria-label": label }, options.map(option));
}
