// Numbers, times and places as text, the same in all views.

/** A number with three digits, as Python's ".3g"; empty if not known. */
function number(x, digits = 3) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "";
  if (x === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(x)));
  if (size < -4 || size >= digits + 3) return x.toExponential(digits - 1).replace(/\.?0+e/, "e");
  return String(+x.toPrecision(digits));
}

/** A number and its unit; a number without one has the unit "1" or none. */
function withUnit(x, unit, digits = 3) {
  const text = number(x, digits);
  return text && unit && unit !== "1" ? `${text} ${unit}` : text;
}

/** A number with its standard error. */
function withError(x, error, unit) {
  const text = error === undefined || error === null ? number(x) : `${number(x)} ± ${number(error, 2)}`;
  return unit && unit !== "1" ? `${text} ${unit}` : text;
}

/** "sample_x (mm)" */
function labelled(name, unit) {
  return unit && unit !== "1" ? `${name} (${unit})` : name;
}

/** "stress" of "stress_mean", "tau" of "tau_s": the unit stands beside it, and there is little room. */
const short = (name) => name.replace(/_(mean|s)$/, "").replaceAll("_", " ");

/** Three significant digits, and two decimals at least: 5.62, and 0.00412 of a motor in metres. */
function coordinate(x) {
  const decimals = x ? Math.max(2, 2 - Math.floor(Math.log10(Math.abs(x)))) : 2;
  return decimals <= 6 ? x.toFixed(decimals) : x.toExponential(2);
}

/** "(5.62, 6.38) mm", with the unit of each if they differ. */
function place(position, units = {}) {
  const names = Object.keys(position ?? {});
  if (!names.length) return "";
  const known = new Set(names.map((name) => units[name] ?? ""));
  const each = (x) => (typeof x === "number" && Number.isFinite(x) ? coordinate(x) : "?");
  if (known.size === 1) return `(${names.map((name) => each(position[name])).join(", ")}) ${[...known][0]}`.trim();
  return names.map((name) => `${name} = ${each(position[name])} ${units[name] ?? ""}`.trim()).join(", ");
}

/** Hours and minutes of today, else the date too; `time` is in s since 1970. */
function clock(time, seconds = false) {
  if (!Number.isFinite(time)) return "";
  const when = new Date(1000 * time);
  const hours = when.toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    ...(seconds ? { second: "2-digit" } : {}),
    hour12: false,
  });
  const day = when.toLocaleDateString([], { day: "numeric", month: "short" });
  return when.toDateString() === new Date().toDateString() ? hours : `${day}, ${hours}`;
}

/** "12 s", "5 min", "3 h": how long ago, or how long. */
function span(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const s = Math.max(0, seconds);
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return s < 129600 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
}

/** Seconds since 1970 of an ISO time. */
function seconds(iso) {
  return iso ? Date.parse(iso) / 1000 : NaN;
}

/** "regime 3 (intermittent)"; its own name if a person gave it one. */
function regimeName(regime, regimes = []) {
  if (!(regime >= 0)) return "unassigned";
  const known = regimes.find((each) => each.id === regime);
  const said = known?.name || known?.kind;
  return `regime ${regime}` + (said ? ` (${said})` : "");
}
