// One line: is this live, what was found, is the agent well.

/** Seconds since 1970, each second anew. */
function useNow() {
  const [now, setNow] = useState(Date.now() / 1000);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now() / 1000), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** How the page is fed, in words. */
function Feed({ feed, replaying }) {
  const [kind, text] = replaying
    ? ["replay", "replay"]
    : {
        starting: ["soft", "starting"],
        live: ["good", "live"],
        hidden: ["soft", "paused: nobody looks"],
        away: ["bad", `the server is away: ${feed.why}; asked again every ${span((feed.wait ?? 0) / 1000)}`],
        refused: ["bad", `no answer: ${feed.why}`],
      }[feed.kind];
  return h(
    "span",
    { className: `feed ${kind}`, role: "status", "data-ainerd": "feed" },
    h("i", { "aria-hidden": true }),
    text,
  );
}

/** What was found, with what chance alone would have brought. */
function Found({ scene }) {
  const { novelty, runs } = scene;
  const done = runs.filter((run) => run.done).length;
  const failed = runs.length - done;
  const regimes = scene.regimes.filter((each) => each.id >= 0).length;
  const supported =
    scene.supported?.length === 2 && scene.supported[0] !== scene.supported[1]
      ? ` (the runs support ${scene.supported[0]} to ${scene.supported[1]})`
      : "";
  const parts = [
    `${runs.length} ${runs.length === 1 ? "result" : "results"}${failed ? `, ${failed} failed` : ""}`,
    `${regimes} ${regimes === 1 ? "regime" : "regimes"}${supported}`,
  ];
  if (novelty.claims)
    parts.push(
      `${novelty.flagged} novel` +
        (novelty.expected_false
          ? `, where chance alone would flag ${number(novelty.expected_false, 2)} of ${novelty.claims} (alpha = ${number(novelty.alpha)})`
          : ""),
    );
  else parts.push("no claim of novelty");
  if (novelty.bound) parts.push(novelty.bound);
  return h("span", { className: "found", "data-ainerd": "found" }, parts.join(" · "));
}

/** Whether the agent is heard of, what it does, and what waits. */
function Health({ health, computing = [] }) {
  const now = useNow();
  const [heardAt] = [health ? Date.now() / 1000 : null];
  if (!health) return h("span", { className: "health", "data-ainerd": "health" }, "no agent has told of itself");
  // The server's clock says how long ago; between two answers it is ours that goes on.
  const ago = Math.max(0, health.now - health.heard) + Math.max(0, now - (health.came ?? heardAt));
  const away = !health.closed && ago > 3 * (health.every_s || 5);
  const chips = [];
  const add = (text, kind = "", title) =>
    chips.push(h("span", { key: chips.length, className: `chip ${kind}`, title }, text));
  if (health.closed) add("the agent has ended", "soft");
  else if (away) add(`agent away: last heard of ${span(ago)} ago`, "bad");
  else add(`agent heard ${span(ago)} ago`, "good");
  if (health.run) {
    const { read, of, scan } = health.run;
    chips.push(
      h(
        "span",
        { key: "run", className: "chip" },
        `scan ${scan}: frame ${read}${of ? ` of ${of}` : ""}`,
        of ? h("progress", { value: read, max: of, "aria-label": "frames analysed" }) : null,
      ),
    );
  } else if (computing.length) add(`analyses scan ${computing.map((each) => each.scan).join(", ")}`);
  if (!health.closed && health.worker && health.worker !== "alive") add(`worker ${health.worker}`, "bad");
  if (health.backlog) add(`backlog ${health.backlog}`, health.backlog > 3 ? "warn" : "");
  if (health.lag_s > 5) add(`${span(health.lag_s)} behind`, "warn");
  if (health.spool) add(`spool ${health.spool}`, "warn", "results that Tiled did not take yet");
  if (health.raw_kept) add(`${health.raw_kept} raw runs kept on disk`, "warn");
  if (health.drift?.verdict) add(`drift: ${health.drift.verdict}`, "warn");
  else if (health.drift)
    add(
      "no drift",
      "",
      `of ${health.drift.n} p-values: ${number(health.drift.largest)}, a drift is told at ${number(health.drift.level)}`,
    );
  if (!health.backlog && !health.spool) add("nothing waits", "", "backlog 0, spool 0");
  return h("span", { className: "health", "data-ainerd": "health" }, chips);
}

// What the colours mean: regimes with their names and how many runs each has.

/** `only` is the regime that is picked out; `onName` is there for whoever may give names. */
function Legend({ scene, only, onOnly, onName }) {
  const mark = (kind) => h("i", { className: `mark ${kind}`, "aria-hidden": true });
  const claims = scene.runs.some((run) => run.p !== null);
  return h(
    "ul",
    { className: "legend", "aria-label": "regimes" },
    scene.regimes.map((each) =>
      h(
        "li",
        { key: each.id },
        h(
          "button",
          {
            type: "button",
            className: "chip",
            "aria-pressed": only === each.id,
            onClick: () => onOnly(only === each.id ? null : each.id),
            title: "show these runs alone",
          },
          h("i", { className: "mark", style: { background: each.colour }, "aria-hidden": true }),
          `${regimeName(each.id, scene.regimes)} `,
          h("span", { className: "soft" }, each.n),
        ),
        onName &&
          each.id >= 0 &&
          only === each.id &&
          h("button", { type: "button", onClick: () => onName(each) }, "name it"),
      ),
    ),
    scene.runs.some((run) => run.novel) && h("li", null, mark("ring"), "novel"),
    scene.runs.some((run) => run.failed) && h("li", null, h("b", null, "× "), "failed"),
    claims && scene.runs.some((run) => run.done && run.p === null) && h("li", null, h("b", null, "? "), "no claim"),
    scene.next && h("li", null, h("b", { className: "star" }, "★ "), "next"),
  );
}
