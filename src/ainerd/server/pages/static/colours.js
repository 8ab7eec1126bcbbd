// Colours that mean the same in every picture of ainerd; see views/_style.py.

// Okabe and Ito, distinct to the colour-blind too; after seven the same again, darker.
const PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442"];
export const UNASSIGNED = "#9a9a9a";
export const NEXT = "#ffd700";

/** Red, green and blue of "#rrggbb", 0 to 255. */
export function rgb(colour) {
  return [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
}

/** Colour of a regime; grey if unassigned (-1). */
export function colour(regime) {
  if (!(regime >= 0)) return UNASSIGNED;
  const turn = Math.floor(regime / PALETTE.length);
  const parts = rgb(PALETTE[regime % PALETTE.length]).map((part) => Math.round(part * 0.55 ** turn));
  return "#" + parts.map((part) => part.toString(16).padStart(2, "0")).join("");
}

/** What can be read on a colour: white or black. */
export function inkOn(background) {
  const [red, green, blue] = rgb(background);
  return (0.3 * red + 0.59 * green + 0.11 * blue) / 255 < 0.6 ? "#ffffff" : "#000000";
}

// Matplotlib's magma, each sixteenth.
const MAGMA = [
  "#000004",
  "#0b0924",
  "#20114b",
  "#3b0f70",
  "#57157e",
  "#721f81",
  "#8c2981",
  "#a8327d",
  "#c43c75",
  "#de4968",
  "#f1605d",
  "#fa7f5e",
  "#fe9f6d",
  "#febf84",
  "#fddea0",
  "#fcfdbf",
];
export const SCALE = MAGMA.map((each, k) => [k / (MAGMA.length - 1), each]);

/** 256 colours of the scale, as (256 × 3) bytes. */
export const SHADES = (() => {
  const stops = MAGMA.map(rgb);
  const shades = new Uint8Array(256 * 3);
  for (let k = 0; k < 256; k++) {
    const at = (k / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    for (let part = 0; part < 3; part++)
      shades[3 * k + part] = stops[low][part] + (at - low) * (stops[low + 1][part] - stops[low][part]);
  }
  return shades;
})();
