// The next point with its reason, and the suggestions.

/** `mode` is "add" or "exclude" while a person selects a place, and `at` is the place that was clicked. */
function NextPoint({ scene, state, asking, mode, setMode, at }) {
  const { next, queue, units, measuring } = scene;
  const { held, health } = state;
  const heldText = () => {
    const why = held.why ? `: ${held.why}` : "";
    const pending = held.pending ? " (not yet acted on)" : "";
    return `Held by ${!held.by || held.by === "person" ? "a person" : held.by}${why}${pending}, since ${clock(held.t)}. No exposure begins.`;
  };
  const back = ({ id }) => asking.may && h(TakeBack, { asking, id });
  const point = () => {
    if (!next && health?.closed) return nothing("The agent has ended: it proposes no point.");
    if (!next) return nothing("No point waits: the agent chooses one, or no position is left.");
    return [
      h("p", { key: "where", className: "where" }, place(next.position, units)),
      h("p", { key: "reason", className: "reason" }, next.reason),
      next.status === "accepted" &&
        h("p", { key: "taken", className: "good row" }, `taken${next.taken_by ? ` by ${next.taken_by}` : ""}`, back(next)),
      next.status !== "accepted" &&
        asker(next, scene) &&
        h("p", { key: "added", className: "good row" }, `asked for by ${asker(next, scene)}`, back(next)),
      health?.waits && h("p", { key: "waits", className: "warn" }, `The plan waits ${health.waits}.`),
    ];
  };
  const choices = () => [
    next && h(Verdict, { key: next.id, asking, next }),
    h(
      "p",
      { key: "more", className: "row" },
      h(Hold, { asking, held }),
      button("add a point", () => setMode("add")),
      button("exclude a box", () => setMode("exclude")),
      state.undo && h(Undo, { asking, last: state.undo }),
    ),
  ];
  const form = () => h(Wanted, { asking, scene, kind: mode, at, onDone: () => setMode(null) });
  return h(
    "div",
    { className: "next", "data-ainerd": "next" },
    held && h("p", { className: "warn", role: "status" }, heldText()),
    measuring &&
      h("p", { className: "good", "data-ainerd": "measuring" }, `${place(measuring.position, units)} is being measured.`),
    point(),
    asking.may && h("div", { className: "ask" }, h(Who, { asking }), mode ? form() : choices()),
    asking.session && !asking.session.may_write && h("p", { className: "soft" }, "You may read here, but not write."),
    h(Answer, { asking }),
    queue.length > 1 && h(Queue, { queue, asking, scene }),
    h(Commands, { commands: state.commands, units }),
  );
}

/** Who took or added a point that waits; null if it is the agent's own. */
function asker(each, scene) {
  const by = each.taken_by ?? (each.status_by === scene.agent ? null : each.status_by);
  return by === "person" ? "a person" : by;
}

/** The points of people in the order in which they are measured. */
function Queue({ queue, asking, scene }) {
  const entry = (each, k) => {
    const where = place(each.position, scene.units);
    const by = asker(each, scene);
    const verdict = k > 0 && asking.may && each.status === "proposed" && h(Verdict, { asking, next: each });
    return h(
      "li",
      { key: each.id, "data-id": each.id },
      h(
        "p",
        { className: "row" },
        h("span", null, where),
        by && h("span", { className: "soft" }, `${each.taken_by ? "taken" : "added"} by ${by}`),
        asking.may && (k > 0 || !each.taken_by) && h(TakeBack, { asking, id: each.id, where }),
      ),
      verdict,
    );
  };
  return h(
    "section",
    { className: "queue", "data-ainerd": "queue", "aria-label": "queue of points" },
    h("strong", null, `${queue.length} points wait, in this order:`),
    h("ol", null, queue.map(entry)),
  );
}

/** The view of a suggestion; the metadata of its node hold the proposal. */
function Suggestion({ root, item, segments }) {
  const metadata = item?.data?.attributes?.metadata ?? {};
  const { state, feed, again } = useCampaign(root, metadata.agent);
  const id = segments.at(-1);
  const { queue = [], suggestions = [], units = {} } = state?.scene ?? {};
  const now = [...queue, ...suggestions].find((each) => each.id === id);
  const asking = useAsking(root, state, again);
  const shown = now ?? suggestionOf(id, metadata); // an old suggestion is not among the newest
  const { status, status_by: by, status_reason: reason } = shown;
  const when = clock(now?.status_time ?? seconds(metadata.status_time), true);
  const history = [
    `proposed by ${metadata.agent ?? "an unknown agent"}, ${clock(seconds(metadata.created), true)}; ${status}`,
    by && ` by ${by}`,
    when && `, ${when}`,
    reason && `: ${reason}`,
  ];
  const head = [
    h(Feed, { key: "feed", feed }),
    h("strong", { key: "status", "data-ainerd": "status" }, String(status)),
    link(root, "the campaign"),
  ];
  const verdict = () =>
    h("div", { className: "ask" }, h(Who, { asking }), h(Verdict, { asking, next: { ...now, id, status } }));
  return h(
    Frame,
    { label: "suggestion", head },
    h(
      "div",
      { className: "next", "data-ainerd": "next", style: { maxWidth: "34em" } },
      h("p", { className: "where" }, place(shown.position, units)),
      h("p", { className: "reason" }, String(shown.reason ?? "")),
      h("p", { className: "soft" }, history.filter(Boolean).join("")),
      asking.may && now && status === "proposed" && verdict(),
      h(Answer, { asking }),
    ),
  );
}

/** The view of the container `suggestions`: the newest, with their status. */
function Suggestions({ root }) {
  const { state, feed } = useCampaign(root);
  const newest = (state?.scene.suggestions ?? []).toSorted((a, b) => (b.status_time ?? 0) - (a.status_time ?? 0));
  const cells = ["position", "why", "status", "by", "when"].map((name) => ({ name }));
  const row = (each) =>
    h(
      "tr",
      { key: each.id },
      h("td", null, place(each.position, state.scene.units)),
      h("td", { className: "wide" }, each.reason),
      h("td", null, [each.status, each.status_reason].filter(Boolean).join(": ")),
      h("td", null, each.status_by ?? ""),
      h("td", null, clock(each.status_time, true)),
      h("td", null, link(`${root}/suggestions/${each.id}`, "open")),
    );
  const table = () => h(Table, { cells: [...cells, { name: "page", unseen: true }] }, newest.map(row));
  const head = [h(Feed, { key: "feed", feed }), link(root, "the campaign")];
  const content = state ? h("div", { className: "scroll" }, table()) : nothing("reading the suggestions…");
  return h(Frame, { label: "suggestions", head }, content);
}
