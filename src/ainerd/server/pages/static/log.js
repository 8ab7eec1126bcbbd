// The log of a campaign.
const FIRST_LINES = 200;

/** Lines, the newest on top; a screen reader reads new ones. `onPick` gets the key of a result. */
function Log({ lines = [], before = 0, onPick, agents = 1 }) {
  const [shown, show] = useState(FIRST_LINES);
  const newest = useMemo(() => lines.slice(-shown).reverse(), [lines, shown]);
  const entry = (line) =>
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
      line.result
        ? button(line.text, () => onPick(line.result), { className: "text" })
        : h("span", null, line.text),
    );
  const list = {
    reversed: true,
    "aria-live": "polite",
    "aria-relevant": "additions",
    tabIndex: 0,
    "aria-label": "log, the newest line first",
  };
  return h(
    "div",
    { className: "log", "data-ainerd": "log" },
    h("ol", list, newest.map(entry)),
    (lines.length > shown || before > 0) &&
      h(
        "p",
        { className: "soft" },
        lines.length > shown && button("older", () => show(shown + FIRST_LINES), { className: "quiet" }),
        before > 0 ? ` ${before} older lines are in Tiled` : null,
      ),
  );
}

/** The view of the container `log`. */
function Logbook({ root }) {
  const { state, feed } = useCampaign(root);
  const onPick = (key) => window.location.assign(page(`${root}/results/${key}`));
  return h(
    Frame,
    { label: "log of the campaign", head: h(Feed, { feed }) },
    state ? h(Log, { ...state.log, agents: state.agents?.length, onPick }) : nothing("reading the log…"),
  );
}

/** The view of one line. */
function LogLine({ root, item }) {
  const line = item?.data?.attributes?.metadata ?? {};
  return h(
    Frame,
    { label: "a line of the log", head: h("strong", null, clock(seconds(line.created), true)) },
    h("p", { className: "reason", "data-ainerd": "log" }, String(line.text ?? "")),
    h("p", { className: "soft" }, line.agent ? `by ${line.agent}` : "by a person"),
    typeof line.result === "string" &&
      h("p", null, h("a", { href: page(`${root}/results/${line.result}`) }, "the result")),
  );
}
