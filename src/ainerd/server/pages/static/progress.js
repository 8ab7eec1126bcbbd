// The run in progress, as it fills in: one picture that the agent rewrites every second or two.
import { h, useEffect, useRef, useState } from "./react.js";
import { encoded, get, OURS } from "./server.js";
import { span } from "./words.js";

const EVERY_MS = 1000;
const SIDE = 260; // pixels of the whole run

/** Asks for the picture of an agent while `wanted`: `{said, values, n}`; null while there is none. */
function useProgress(path, wanted) {
  const [picture, setPicture] = useState(null);
  useEffect(() => {
    setPicture(null);
    if (!wanted) return;
    let n = -1,
      ends = false,
      timer;
    const once = async () => {
      try {
        if (!document.hidden) {
          const answer = await get(`${OURS}/live/${encoded(path)}?n=${n}`);
          n = Number(answer.headers.get("x-n"));
          const bytes = answer.status === 204 ? null : await answer.arrayBuffer();
          if (ends) return;
          if (bytes)
            setPicture({ said: JSON.parse(answer.headers.get("x-said")), values: new Float32Array(bytes), n });
          else if (n < 0) setPicture(null);
        }
      } catch {
        // the campaign's own line says that the server is away
      }
      if (!ends) timer = setTimeout(once, EVERY_MS);
    };
    once();
    return () => {
      ends = true;
      clearTimeout(timer);
    };
  }, [path, wanted]);
  return picture;
}

/** Low and high end of the colours: off the diagonal, where there is often noise alone, nothing is brighter than it is. */
function limits(values, width) {
  const known = [];
  values.forEach((value, k) => {
    if (Number.isFinite(value) && Math.abs((k % width) - Math.floor(k / width)) > 1) known.push(value);
  });
  known.sort((a, b) => a - b);
  const at = (share) => known[Math.min(known.length - 1, Math.floor(share * known.length))];
  return known.length ? [at(0.02), at(0.98)] : [0, 1];
}

function paint(canvas, { said, values }, share) {
  const [height, width] = said.shape;
  const [low, high] = limits(values, width);
  const small = document.createElement("canvas");
  [small.width, small.height] = [width, height];
  const image = small.getContext("2d").createImageData(width, height);
  values.forEach((value, k) => {
    const level = Math.min(1, Math.max(0, (value - low) / (high - low || 1)));
    const grey = 255 * (1 - level);
    const at = 4 * ((height - 1 - Math.floor(k / width)) * width + (k % width)); // the beginning is below, on the left
    image.data.set([grey * 0.85, grey * 0.92, grey, Number.isFinite(value) ? 255 : 0], at);
  });
  small.getContext("2d").putImageData(image, 0, 0);
  const pen = canvas.getContext("2d");
  canvas.width = canvas.height = SIDE; // clears it
  pen.imageSmoothingEnabled = false;
  const side = Math.max(1, Math.round(SIDE * share));
  pen.drawImage(small, 0, SIDE - side, side, side);
}

/** `agentPath` is the node of the agent; drawn while one of its runs goes on. */
export function Progress({ agentPath, wanted }) {
  const picture = useProgress(agentPath, wanted);
  const canvas = useRef(null);
  const said = picture?.said;
  const share = said?.of ? Math.min(1, said.read / said.of) : 1;
  useEffect(() => void (picture && canvas.current && paint(canvas.current, picture, share)), [picture]);
  if (!said) return null;
  const seconds = said.frame_time_s ? `, ${span(said.read * said.frame_time_s)}` : "";
  const text = `scan ${said.scan} goes on: ${said.read}${said.of ? ` of ${said.of}` : ""} frames${seconds}`;
  return h(
    "figure",
    { className: "progress", "data-ainerd": "live", "data-read": said.read },
    h("canvas", { ref: canvas, role: "img", "aria-label": `What has come of it so far; ${text}` }),
    h("figcaption", null, text),
  );
}
