// The log of a campaign.
const FIRST_LINES = 200;

/** Lines, the newest on top; a screen reader reads new ones. `onPick` gets the key of a result. */
function Log({ lines = [], before = 0, onPick, agents = 1 }) {
  const [shown, show] = useState(FIRST_LINES);
  const newest = useMemo(() => lines.slice(-shown).reverse(), [lines, shown]);
  const entry = ({ key, t, agent, text, result }) => {
    const dateTime = Number.isFinite(t) ? new Date(1000 * t).toISOString() : undefined;
    return h(
      "li",
      { key },
      h("time", { dateTime }, clock(t, true)),
      agents > 1 && agent && h("span", { className: "soft" }, `${agent} `),
      !agent && h("span", { className: "person" }, "person "),
      result ? button(text, () => onPick(result), { className: "text" }) : h("span", null, text),
    );
  };
  const spoken = { "aria-live": "polite", "aria-relevant": "additions", "aria-label": "log, the newest line first" };
  const older = button("older", () => show(shown + FIRST_LINES), { className: "quiet" });
  const earlier = before > 0 ? ` ${before} older lines are in Tiled` : null;
  const isLong = lines.length > shown;
  return h(
    "div",
    { className: "log", "data-ainerd": "log" },
    h("ol", { reversed: true, tabIndex: 0, ...spoken }, newest.map(entry)),
    (isLong || earlier) && h("p", { className: "soft" }, isLong && older, earlier),
  );
}

/** The view of the container `log`. */
function Logbook({ root }) {
  const { state, feed } = useCampaign(root);
  const onPick = (key) => window.location.assign(page(`${root}/results/${key}`));
  const log = () => h(Log, { ...state.log, agents: state.agents?.length, onPick });
  const frame = { label: "log of the campaign", head: h(Feed, { feed }) };
  return h(Frame, frame, state ? log() : nothing("reading the log…"));
}

/** The view of one line. */
function LogLine({ root, item }) {
  const line = item?.data?.attributes?.metadata ?? {};
  return h(
    Frame,
    { label: "a line of the log", head: h("strong", null, clock(seconds(line.created), true)) },
    h("p", { className: "reason", "data-ainerd": "log" }, String(line.text ?? "")),
    h("p", { className: "soft" }, line.agent ? `by ${line.agent}` : "by a person"),
    typeof line.result === "string" && h("p", null, link(`${root}/results/${line.result}`, "the result")),
  );
}
