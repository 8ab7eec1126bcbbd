// One suggestion: where, why, what became of it; and all of them as a list.
import { Said, useAsking, Verdict, Who } from "./actions.js";
import { Head } from "./head.js";
import { Feed } from "./health.js";
import { useCampaign, useSession } from "./live.js";
import { Terms } from "./next.js";
import { h } from "./react.js";
import { page } from "./server.js";
import { Frame } from "./theme.js";
import { clock, place, seconds } from "./words.js";

/** The view of a suggestion; what it says is in the metadata of its node. */
export function Suggestion({ root, item, segments }) {
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
export function Suggestions({ root }) {
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
