// Where next, why, and what speaks for it; with the buttons of whoever may say yes or no.
import { Hold, Said, Verdict, Wanted, Who, Wishes } from "./actions.js";
import { h, useState } from "./react.js";
import { clock, number, place } from "./words.js";

const LENGTHS = new Set(["empty_radius"]); // terms in the motors' unit; the others are chances and shares

/** The terms of a suggestion, as bars from 0 to 1. */
export function Terms({ terms = {}, unit = "" }) {
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
export function NextPoint({ scene, state, asking, mode, setMode, at }) {
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
