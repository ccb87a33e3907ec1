// Opens a page from a file in a headless Chromium without a network, in several sizes, light and
// dark, and tells what is seen there.
//
// usage: node look.mjs PAGE FOLDER [CHROMIUM]
//
// Writes one JSON object to standard output: for each view its faults, and what is drawn. Pictures
// of each view go to the folder. Speaks the DevTools protocol over a pipe, so needs no packages.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [page, folder, chromium = "chromium"] = process.argv.slice(2);
const VIEWS = [400, 1400].flatMap((width) =>
  ["light", "dark"].map((scheme) => ({ width, scheme })),
);

const profile = mkdtempSync(join(tmpdir(), "browser-"));
process.on("exit", () => rmSync(profile, { recursive: true, force: true, maxRetries: 5 }));

// As root, in a container, Chromium's own sandbox cannot be set up; the page is our own.
const browser = spawn(
  chromium,
  [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:9",
    "--user-data-dir=" + profile,
    "--remote-debugging-pipe",
  ],
  { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] },
);
let said = "";
browser.stderr.on("data", (data) => (said += data));
browser.on("error", (error) => fail(error.message));
browser.on("exit", (status) => fail("the browser ended with " + status));
setTimeout(() => fail("the browser does not answer"), 120_000).unref();

function fail(why) {
  console.error(why + "\n" + said);
  browser.kill("SIGKILL");
  process.exit(70);
}

const [into, from] = [browser.stdio[3], browser.stdio[4]];
const waiting = new Map();
const listeners = new Set();
let held = Buffer.alloc(0);
from.on("data", (data) => {
  held = Buffer.concat([held, data]);
  for (let end = held.indexOf(0); end >= 0; end = held.indexOf(0)) {
    const message = JSON.parse(held.subarray(0, end).toString());
    held = held.subarray(end + 1);
    if (message.id) {
      const { good, bad } = waiting.get(message.id);
      waiting.delete(message.id);
      message.error ? bad(new Error(message.error.message)) : good(message.result);
    } else {
      listeners.forEach((listener) => listener(message));
    }
  }
});

let last = 0;
let sessionId;
function ask(method, params = {}) {
  const id = ++last;
  into.write(JSON.stringify({ id, method, params, sessionId }) + "\0");
  return new Promise((good, bad) => waiting.set(id, { good, bad }));
}

function event(name) {
  return new Promise((good) => {
    const listener = (message) => {
      if (message.method === name) {
        listeners.delete(listener);
        good(message.params);
      }
    };
    listeners.add(listener);
  });
}

// Runs in the page.
function inPage() {
  const faults = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    faults.push(`the page is ${root.scrollWidth} wide in ${root.clientWidth}`);
  }
  const shown = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const name = (node) => JSON.stringify(node.textContent.trim().slice(0, 40));

  // Plots.
  const plots = [...document.querySelectorAll("svg")].map((svg) => {
    const box = svg.getBoundingClientRect();
    const marks = [...svg.querySelectorAll("rect")].map((rect) => rect.getBoundingClientRect());
    if (box.width < 200 || box.height < 80) faults.push(`a plot is ${box.width} by ${box.height}`);
    const isOut = (mark) =>
      mark.left < box.left - 1 || mark.right > box.right + 1 || mark.top < box.top - 1 || mark.bottom > box.bottom + 1;
    faults.push(...marks.filter(isOut).map(() => "a bar is out of its plot"));
    return {
      width: box.width,
      height: box.height,
      bars: svg.querySelectorAll("g").length,
      parts: marks.length,
      drawn: marks.filter((mark) => mark.width > 0 && mark.height > 0).length,
      highest: Math.max(0, ...[...svg.querySelectorAll("g")].map((bar) => bar.getBoundingClientRect().height)),
    };
  });

  // Texts: where they are, whether they are cut off, and whether they can be told from what is
  // behind them.
  const channel = (value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  const numbers = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const light = (color) => {
    const [red, green, blue] = numbers(color).map(channel);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if ((numbers(color)[3] ?? 1) === 1) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !shown(element) || element.closest("title, script, style")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const boxes = [...range.getClientRects()].filter((box) => box.width > 0 && box.height > 0);
    if (boxes.length === 0) continue;
    const style = getComputedStyle(element);
    const size = boxes[0].height;
    if (size < 10) faults.push(`${name(node)} is ${size.toFixed(1)} high`);
    const color = element.closest("svg") ? style.fill : style.color;
    const [one, other] = [light(color), light(behind(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) faults.push(`${name(node)} has a contrast of ${contrast.toFixed(2)}`);
    for (const box of boxes) {
      if (box.left < 0 || box.right > root.clientWidth) faults.push(`${name(node)} is out of the page`);
    }
    for (let at = element; at && at !== document.body; at = at.parentElement) {
      const around = at.getBoundingClientRect();
      const cuts = getComputedStyle(at).overflowX !== "visible";
      if (cuts && boxes.some((box) => box.right > around.right + 1 || box.left < around.left - 1)) {
        faults.push(`${name(node)} is cut off`);
      }
    }
    texts.push({ node, boxes });
  }
  texts.forEach((one, at) => {
    for (const other of texts.slice(at + 1)) {
      const meet = one.boxes.some((a) =>
        other.boxes.some(
          (b) =>
            Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
            Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3,
        ),
      );
      if (meet) faults.push(`${name(one.node)} and ${name(other.node)} overlap`);
    }
  });
  const ground = getComputedStyle(document.body).backgroundColor;
  return { faults, plots, texts: texts.length, isDark: light(ground) < 0.2, said: document.body.innerText };
}

// A page of our own: the browser's first one is busy with itself.
const { targetId } = await ask("Target.createTarget", { url: "about:blank" });
({ sessionId } = await ask("Target.attachToTarget", { targetId, flatten: true }));
for (const domain of ["Page", "Runtime", "Log", "Network"]) await ask(domain + ".enable");
await ask("Network.emulateNetworkConditions", {
  offline: true,
  latency: 0,
  downloadThroughput: -1,
  uploadThroughput: -1,
});
const { product } = await ask("Browser.getVersion").catch(() => ({}));

const url = pathToFileURL(page).href;
const views = [];
for (const { width, scheme } of VIEWS) {
  const heard = [];
  const listener = ({ method, params }) => {
    if (method === "Log.entryAdded") heard.push(params.entry.level + ": " + params.entry.text);
    if (method === "Runtime.consoleAPICalled") heard.push("console." + params.type);
    if (method === "Runtime.exceptionThrown") heard.push(params.exceptionDetails.text);
    if (method === "Network.requestWillBeSent" && !/^(data:|file:)/.test(params.request.url)) {
      heard.push("asks for " + params.request.url);
    }
    if (method === "Network.loadingFailed") heard.push("could not load: " + params.errorText);
  };
  listeners.add(listener);
  await ask("Emulation.setDeviceMetricsOverride", {
    width,
    height: 900,
    deviceScaleFactor: 1,
    mobile: width < 600,
  });
  await ask("Emulation.setEmulatedMedia", {
    features: [{ name: "prefers-color-scheme", value: scheme }],
  });
  const loaded = event("Page.loadEventFired");
  await ask("Page.navigate", { url });
  await loaded;
  const { result, exceptionDetails } = await ask("Runtime.evaluate", {
    expression: `(${inPage})()`,
    returnByValue: true,
  });
  if (exceptionDetails) fail(JSON.stringify(exceptionDetails));
  const seen = result.value;
  const { data } = await ask("Page.captureScreenshot", { captureBeyondViewport: true });
  writeFileSync(`${folder}/${width}-${scheme}.png`, Buffer.from(data, "base64"));
  listeners.delete(listener);
  seen.faults.push(...heard);
  if (seen.isDark !== (scheme === "dark")) seen.faults.push(`the page is not ${scheme}`);
  views.push({ width, scheme, ...seen });
}
console.log(JSON.stringify({ product, views }));
browser.removeAllListeners("exit");
const gone = new Promise((good) => browser.on("exit", good));
sessionId = undefined;
await Promise.race([ask("Browser.close").catch(() => {}), gone]);
await gone;
