// The first lines of a page: the connection, the agent, the results, and the regimes with their colors.

/** Seconds since 1970, every second. */
function useNow() {
  const [now, setNow] = useState(Date.now() / 1000);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now() / 1000), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** The state of the connection. */
function Feed({ feed }) {
  const [kind, text] = {
    starting: ["soft", "starting"],
    live: ["good", "connected"],
    hidden: ["soft", "paused: this page is not visible"],
    away: ["bad", `the server does not answer: ${feed.why}; next attempt after ${span((feed.wait ?? 0) / 1000)}`],
    refused: ["bad", `the server refuses: ${feed.why}`],
  }[feed.kind];
  const attributes = { className: `feed ${kind}`, role: "status", "data-ainerd": "feed" };
  return h("span", attributes, h("i", { "aria-hidden": true }), text);
}

/** The numbers of results and regimes, and of novel results beside those that chance alone would flag. */
function Found({ scene }) {
  const { novelty, runs, supported } = scene;
  const failed = runs.filter((run) => run.failed).length;
  const regimes = scene.regimes.filter((each) => each.id >= 0).length;
  const [fewest, most] = supported?.length === 2 ? supported : [];
  const range = fewest === undefined || fewest === most ? "" : ` (it may be ${fewest} to ${most})`;
  const { claims, flagged, expected } = novelty;
  const counted = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  const parts = [
    counted(runs.length, "result") + (scene.read < scene.count ? ` of ${scene.count}` : "") + (failed ? `, ${failed} failed` : ""),
    counted(regimes, "regime") + range,
    ...(scene.sentences ?? []),
    claims ? `${flagged} novel${expected ? ` (chance alone gives about ${number(expected, 2)})` : ""}` : "no p-values",
    novelty.bound,
  ];
  return h("span", { className: "found", "data-ainerd": "found" }, parts.filter(Boolean).join(" · "));
}

/** Whether the agent reports, its work, and the waiting runs. */
function Health({ health, alarm, computing = [] }) {
  const now = useNow();
  const attributes = { className: "health", "data-ainerd": "health" };
  if (!health) return h("span", attributes, "no agent has reported");
  // The server's clock gives the age of the report; ours the time since the answer.
  const age = Math.max(0, health.now - health.heard) + Math.max(0, now - health.came);
  const chips = [];
  const add = (text, kind = "", title, more) =>
    chips.push(h("span", { key: chips.length, className: `chip ${kind}`, title }, text, more));
  if (health.closed) add("the agent has ended", "soft");
  else if (age > 3 * (health.every_s || 5)) add(`agent away: last report ${span(age)} ago`, "bad");
  else add(`agent reported ${span(age)} ago`, "good");
  if (health.run) {
    const { read, of, scan } = health.run;
    const bar = of ? h("progress", { value: read, max: of, "aria-label": "frames analysed" }) : null;
    add(`${runName(scan)}: frame ${read}${of ? ` of ${of}` : ""}`, "", undefined, bar);
  } else if (computing.length) add(`analyses ${computing.map((each) => runName(each.scan)).join(", ")}`);
  if (!health.closed && health.worker && health.worker !== "alive") add(`worker ${health.worker}`, "bad");
  if (health.backlog) add(`${health.backlog} run${health.backlog === 1 ? "" : "s"} to analyse`, health.backlog > 3 ? "warn" : "");
  if (!health.closed && health.busy) add(health.busy, "warn");
  if (health.lag_s > 5) add(`${span(health.lag_s)} behind`, "warn");
  if (alarm) add(alarm.split(":")[0], "warn", alarm);
  if (!health.backlog) add("nothing waits", "", "every run is analysed, every result is in Tiled");
  return h("span", attributes, chips);
}

/** The regimes with their names and numbers of runs; `only` is the one that is shown alone. */
function Legend({ scene, only, onOnly, onName }) {
  const { runs } = scene;
  const entry = (regime) => {
    const { id, color, n } = regime;
    const text = [dot(color), `${regimeName(id, scene.regimes)} `, h("span", { key: "n", className: "soft" }, n)];
    const pressed = { className: "chip", "aria-pressed": only === id, title: "show these runs alone" };
    const select = button(text, () => onOnly(only === id ? null : id), pressed);
    return h("li", { key: id }, select, onName && id >= 0 && only === id && button("name it", () => onName(regime)));
  };
  const isUndecided = runs.some((run) => run.p !== null) && runs.some((run) => run.done && run.p === null);
  return h(
    "ul",
    { className: "legend", "aria-label": "regimes" },
    scene.regimes.map(entry),
    runs.some((run) => run.novel) && h("li", null, h("i", { className: "mark ring", "aria-hidden": true }), "novel"),
    runs.some((run) => run.failed) && h("li", null, h("b", null, "× "), "failed"),
    isUndecided && h("li", null, h("b", null, "? "), "no p-value"),
    scene.next && h("li", null, h("b", { className: "star" }, "★ "), "next"),
  );
}
