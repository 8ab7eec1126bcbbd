// The raw runs of a catalog, the newest first: scan, sample and plan in place of uids.
const RUNS = 30;
// What is read of each run, as a JMESPath expression.
const OF_RUN =
  "{scan: start.scan_id, sample: start.sample, plan: start.plan_name, time: start.time, purpose: start.purpose, " +
  "ended: stop.time, exit: stop.exit_status, reason: stop.reason}";
const CELLS = ["scan", "sample", "plan", "begun", "took", "end"].map((name) => ({ name }));

/** A value of metadata as a short text: a sample may be a name, or a mapping that has one. */
function textOf(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "object" ? (value.name ?? JSON.stringify(value)) : value;
  return String(text).slice(0, 100);
}

/** The view of a catalog of Bluesky runs. */
function Runs({ segments }) {
  const path = segments.join("/");
  const [offset, setOffset] = useState(0);
  const read = async () => {
    const query = { "page[offset]": offset, "page[limit]": RUNS, sort: "-start.time", select_metadata: OF_RUN };
    const response = await get(address("search", path, { ...query, fields: ["metadata", "count"] }));
    return { from: offset, ...(await response.json()) };
  };
  const { value: answer, error } = useAsync(read, [path, offset]);
  const row = ({ id, attributes }) => {
    const run = attributes?.metadata?.selected ?? attributes?.metadata ?? {};
    const end = [run.exit ?? "in progress", run.reason].filter(Boolean).map(textOf).join(": ");
    const texts = [run.sample, run.plan].map(textOf);
    const times = [clock(run.time, true), span(run.ended - run.time)];
    return h(
      "tr",
      { key: id },
      h("th", { scope: "row" }, link(`${path}/${id}`, textOf(run.scan) || id.slice(0, 8))),
      [...texts, ...times].map((text, k) => h("td", { key: k }, text)),
      h("td", { className: "wide" }, end),
    );
  };
  const table = () => {
    const { from, meta } = answer;
    const n = meta?.count ?? 0;
    const turn = (text, to, disabled) => button(text, () => setOffset(Math.max(0, to)), { key: text, disabled });
    const last = Math.min(from + RUNS, n);
    return [
      h("div", { key: "table", className: "scroll" }, h(Table, { cells: CELLS }, answer.data.map(row))),
      h(
        "p",
        { key: "pager", className: "row pager" },
        h("span", { role: "status" }, n ? `${from + 1} to ${last} of ${n} runs` : "no runs"),
        n > RUNS && [
          turn("newer", from - RUNS, from === 0),
          turn("older", from + RUNS, last >= n),
        ],
      ),
    ];
  };
  const head = h("strong", { "data-ainerd": "runs" }, "Runs, the newest first");
  const why = error ? `The runs cannot be read: ${error.message}` : "reading the runs…";
  return h(Frame, { label: "runs", head }, answer ? table() : nothing(why, "status"));
}
