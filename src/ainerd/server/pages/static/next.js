// Where next, why, and what speaks for it; with the buttons of whoever may say yes or no.

const LENGTHS = new Set(["empty_radius"]); // terms in the motors' unit; the others are chances and shares

/** The terms of a suggestion, as bars from 0 to 1. */
function Terms({ terms = {}, unit = "" }) {
  return h(
    "dl",
    { className: "terms" },
    Object.entries(terms).map(([name, value]) =>
      h(
        "div",
        { key: name },
        h("dt", null, name.replaceAll("_", " ")),
        h("dd", null, LENGTHS.has(name) ? `${value.toFixed(2)} ${unit}` : number(value, 2)),
        !LENGTHS.has(name) &&
          h(
            "span",
            { className: "bar", "aria-hidden": true },
            h("span", { style: { width: `${100 * Math.min(1, Math.max(0, value))}%` } }),
          ),
      ),
    ),
  );
}

/** `mode` is "add" or "exclude" while a person says where; `at` the place that was clicked. */
function NextPoint({ scene, state, asking, mode, setMode, at }) {
  const { next } = scene;
  const unit = scene.units[scene.motors[0]] ?? "";
  const { held, health } = state;
  const waits = health?.waits;
  // Of somebody else than the agent: a person must take them.
  const proposals = (state.suggestions ?? []).filter(
    (each) => each.status === "proposed" && each.proposed_by && each.id !== next?.id,
  );
  return h(
    "div",
    { className: "next", "data-ainerd": "next" },
    held &&
      h(
        "p",
        { className: "warn", role: "status" },
        `Held by ${held.by || "somebody"}${held.why ? `: ${held.why}` : ""}${held.pending ? " (asked, not heeded yet)" : ""}, since ${clock(held.t)}. No suggestion is taken.`,
      ),
    next
      ? [
          h("p", { key: "where", className: "where" }, place(next.position, scene.units)),
          h("p", { key: "why", className: "reason" }, next.reason),
          next.status === "accepted" &&
            h("p", { key: "taken", className: "good" }, `taken${next.taken_by ? ` by ${next.taken_by}` : ""}`),
          waits && h("p", { key: "waits", className: "warn" }, `The plan waits ${waits}.`),
        ]
      : state.measuring
        ? h("p", { className: "good" }, `${place(state.measuring.position, scene.units)} is being measured.`)
        : h(
            "p",
            { className: "nothing" },
            health?.explored ? `No point is proposed. ${health.explored}` : "No point is proposed.",
          ),
    asking.may &&
      h(
        "div",
        { className: "ask" },
        h(Who, { asking }),
        next && !mode && h(Verdict, { asking, next }),
        mode
          ? h(Wanted, { asking, scene, kind: mode, at, onDone: () => setMode(null) })
          : h(
              "p",
              { className: "row" },
              h(Hold, { asking, held: held && !(held.pending && held.released) ? held : null }),
              h("button", { type: "button", onClick: () => setMode("add") }, "add a point"),
              h("button", { type: "button", onClick: () => setMode("exclude") }, "exclude a box"),
            ),
      ),
    asking.session && !asking.session.may_write && h("p", { className: "soft" }, "You may read here, not write."),
    h(Said, { asking }),
    proposals.map((each) => h(Proposal, { key: each.id, proposal: each, asking, units: scene.units })),
    next && h(Terms, { terms: next.terms, unit }),
    h(Wishes, { wishes: state.wishes, units: scene.units }),
  );
}

function Proposal({ proposal, asking, units }) {
  return h(
    "div",
    { className: "ask", "data-ainerd": "proposal" },
    h(
      "p",
      null,
      h("strong", null, place(proposal.position, units)),
      h("span", { className: "soft" }, ` proposed by ${proposal.proposed_by}`),
    ),
    h("p", null, proposal.reason),
    asking.may && h(Verdict, { asking, next: proposal }),
  );
}

// One suggestion: where, why, what became of it; and all of them as a list.

/** The view of a suggestion; what it says is in the metadata of its node. */
function Suggestion({ root, item, segments }) {
  const { state, feed, again } = useCampaign(root);
  const session = useSession(root);
  const said = item?.data?.attributes?.metadata ?? {};
  const id = segments.at(-1);
  const now = state?.next?.id === id ? state.next : state?.suggestions?.find((each) => each.id === id);
  const asking = useAsking(root, said.agent ?? state?.agent, session, again);
  const units = state?.sample?.units ?? {};
  const position = Object.fromEntries(
    (Array.isArray(said.positions) ? said.positions : []).map((name) => [name, said[name]]),
  );
  const status = now?.status ?? said.status;
  const when = now?.status_time ?? seconds(said.status_time);
  return h(
    Frame,
    {
      label: "suggestion",
      head: [
        h(Feed, { key: "feed", feed }),
        h("strong", { key: "status", "data-ainerd": "status" }, String(status)),
        h("a", { key: "all", href: page(root) }, "the campaign"),
      ],
    },
    h(
      "div",
      { className: "next", "data-ainerd": "next", style: { maxWidth: "34em" } },
      h("p", { className: "where" }, place(position, units)),
      h("p", { className: "reason" }, String(said.reason ?? "")),
      h(
        "p",
        { className: "soft" },
        `proposed by ${said.agent ?? "nobody known"}, ${clock(seconds(said.created), true)}; ${status}${(now?.status_by ?? said.status_by) ? ` by ${now?.status_by ?? said.status_by}` : ""}${Number.isFinite(when) ? `, ${clock(when, true)}` : ""}${(now?.status_reason ?? said.status_reason) ? `: ${now?.status_reason ?? said.status_reason}` : ""}`,
      ),
      asking.may &&
        status === "proposed" &&
        h("div", { className: "ask" }, h(Who, { asking }), h(Verdict, { asking, next: { ...now, id, status } })),
      h(Said, { asking }),
      h(Terms, { terms: said.terms ?? {}, unit: units[said.positions?.[0]] ?? "" }),
    ),
  );
}

/** The view of the container `suggestions`: the newest, and what became of each. */
function Suggestions({ root }) {
  const { state, feed } = useCampaign(root);
  const lines = state?.suggestions ?? [];
  const newest = lines.toSorted((a, b) => (b.status_time ?? 0) - (a.status_time ?? 0));
  return h(
    Frame,
    {
      label: "suggestions",
      head: [h(Feed, { key: "feed", feed }), h("a", { key: "all", href: page(root) }, "the campaign")],
    },
    !state
      ? h("p", { className: "nothing" }, "reading the suggestions…")
      : h(
          "div",
          { className: "scroll" },
          h(
            "table",
            null,
            h(Head, {
              cells: [
                ...["position", "why", "status", "by", "when"].map((name) => ({ name })),
                { name: "page", unseen: true },
              ],
            }),
            h(
              "tbody",
              null,
              newest.map((each) =>
                h(
                  "tr",
                  { key: each.id },
                  h("td", null, place(each.position, state.sample?.units)),
                  h("td", { className: "wide" }, each.reason),
                  h("td", null, [each.status, each.status_reason].filter(Boolean).join(": ")),
                  h("td", null, each.status_by ?? ""),
                  h("td", null, clock(each.status_time, true)),
                  h("td", null, h("a", { href: page(`${root}/suggestions/${each.id}`) }, "open")),
                ),
              ),
            ),
          ),
        ),
  );
}
