// Registers the views with Tiled's web UI, which asks for this script by its address in `spec_views`. The server puts all
// other modules into it.
import { Campaign } from "./campaign.js";
import { Logbook, LogLine } from "./log.js";
import { h } from "./react.js";
import { Result } from "./result.js";
import { Suggestion, Suggestions } from "./suggestion.js";

// By spec: the component, and how many segments the node lies below `ainerd`.
const VIEWS = {
  AinerdCampaign: [Campaign, 0],
  AinerdResults: [Campaign, 1],
  AinerdResult: [Result, 2],
  AinerdSuggestions: [Suggestions, 1],
  AinerdSuggestion: [Suggestion, 2],
  AinerdLogbook: [Logbook, 1],
  AinerdLog: [LogLine, 2],
};

const registered = (window.__TILED_SPEC_VIEWS__ ||= {});
for (const [spec, [view, below]] of Object.entries(VIEWS))
  registered[spec] = ({ segments, item }) => {
    const root = segments.slice(0, segments.length - below).join("/");
    return h(view, { key: segments.join("/"), root, segments, item });
  };
