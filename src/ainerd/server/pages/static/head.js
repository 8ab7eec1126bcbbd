// The head of a table.
import { h } from "./react.js";

/** A cell for each `{name, said, unseen, …}`; what is `unseen` is for a screen reader, the rest are attributes. */
export function Head({ cells }) {
  const cell = ({ name, said = name, unseen, ...more }) =>
    h("th", { key: name, scope: "col", ...more }, unseen ? h("span", { className: "unseen" }, said) : said);
  return h("thead", null, h("tr", null, cells.map(cell)));
}
