// The log as it grows, and as a page of its own.

const SHOWN = 200;

/** Lines, the newest on top; new ones are said to a screen reader. `onPick` gets the key of a result. */
function Log({ lines = [], before = 0, onPick, root, agents = 1 }) {
  const [shown, show] = useState(SHOWN);
  const newest = useMemo(() => lines.slice(-shown).reverse(), [lines, shown]);
  return h(
    "div",
    { className: "log", "data-ainerd": "log" },
    h(
      "ol",
      {
        reversed: true,
        "aria-live": "polite",
        "aria-relevant": "additions",
        tabIndex: 0,
        "aria-label": "log, the newest line first",
      },
      newest.map((line) =>
        h(
          "li",
          { key: line.key },
          h(
            "time",
            { dateTime: Number.isFinite(line.t) ? new Date(1000 * line.t).toISOString() : undefined },
            clock(line.t, true),
          ),
          agents > 1 && line.agent && h("span", { className: "soft" }, `${line.agent} `),
          !line.agent && h("span", { className: "person" }, "person "),
          line.result && onPick
            ? h("button", { type: "button", className: "text", onClick: () => onPick(line.result) }, line.text)
            : h("span", null, line.text),
        ),
      ),
    ),
    (lines.length > shown || before > 0) &&
      h(
        "p",
        { className: "soft" },
        lines.length > shown
          ? h("button", { type: "button", className: "quiet", onClick: () => show(shown + SHOWN) }, "older")
          : null,
        before > 0 ? ` ${before} older lines are in Tiled` : null,
      ),
  );
}

/** The view of the container `log`. */
function Logbook({ root }) {
  const { state, feed } = useCampaign(root);
  return h(
    Frame,
    { label: "log of the campaign", head: h(Feed, { feed }) },
    state
      ? h(Log, {
          lines: state.log?.lines,
          before: state.log?.before,
          agents: state.agents?.length,
          onPick: (key) => window.location.assign(page(`${root}/results/${key}`)),
        })
      : h("p", { className: "nothing" }, "reading the log…"),
  );
}

/** The view of one line. */
function LogLine({ root, item }) {
  const said = item?.data?.attributes?.metadata ?? {};
  return h(
    Frame,
    { label: "a line of the log", head: h("strong", null, clock(Date.parse(said.created) / 1000, true)) },
    h("p", { className: "reason", "data-ainerd": "log" }, String(said.text ?? "")),
    h("p", { className: "soft" }, said.agent ? `by ${said.agent}` : "by a person"),
    typeof said.result === "string" &&
      h("p", null, h("a", { href: page(`${root}/results/${said.result}`) }, "the result")),
  );
}
