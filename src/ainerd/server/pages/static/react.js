// React is Tiled's own, so that nothing needs to be built.
export const React = window.React;
export const h = React.createElement;
export const useState = React.useState;
export const useEffect = React.useEffect;
export const useLayoutEffect = React.useLayoutEffect;
export const useRef = React.useRef;
export const useMemo = React.useMemo;
export const useContext = React.useContext;
export const useId = React.useId;
export const createContext = React.createContext;

/** A panel that fails says so in its place, and the others stay. */
export class Safe extends React.Component {
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
    return h(
      "p",
      { className: "nothing", role: "alert" },
      `${this.props.what} cannot be drawn: ${this.state.error.message}`,
    );
  }
}
