// A dashboard to look at, and a browser that is signed in to it.
//
// Starts `rolecall demo` itself; ROLECALL_LOGIN_URL names a fresh one-time link of a service that runs already.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const BROWSERS = [process.env.ROLECALL_BROWSER, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

let service;
let data;
let browser;
let cookies;

// Signs in, and gives the address of the service.
export async function begin() {
  const link = process.env.ROLECALL_LOGIN_URL ?? (await start());
  const executablePath = BROWSERS.find((file) => file && existsSync(file));
  assert.ok(executablePath, "a Chromium is needed: install it, or name one in ROLECALL_BROWSER");
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-quic"] });
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(link);
  assert.equal(new URL(page.url()).pathname, "/", "the one-time link signs in");
  cookies = await context.cookies();
  await context.close();
  return new URL(link).origin;
}

export async function end() {
  await browser?.close();
  if (service) {
    const ended = new Promise((resolve) => service.once("exit", resolve));
    service.kill("SIGTERM");
    await ended;
  }
  if (data) rmSync(data, { recursive: true, force: true });
}

// Starts the demo in a folder of its own, and waits for its one-time link.
async function start() {
  const binary = process.env.ROLECALL_BINARY ?? path.join(ROOT, "target/debug/rolecall");
  data = mkdtempSync(path.join(tmpdir(), "rolecall-pages-"));
  service = spawn(binary, ["--data-dir", data, "demo"], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  return new Promise((resolve, reject) => {
    const hear = (chunk) => {
      said += chunk;
      const link = said.match(/https?:\/\/\S+\/login\?otp=\w+/);
      if (link) resolve(link[0]);
    };
    service.stdout.on("data", hear);
    service.stderr.on("data", hear);
    service.once("error", reject);
    service.once("exit", (code) => reject(new Error(`rolecall demo ended with ${code}:\n${said}`)));
  });
}

// A signed-in window of a width, in light or dark.
export async function open(theme, width, more = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: theme, ...more });
  await context.addCookies(cookies);
  await context.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
    });
  });
  return context;
}

const STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

// What is wrong with a page as it stands: against its policy, its width, and WCAG 2.2 AA.
export async function faults(page) {
  const wrong = await page.evaluate(() => window.violations.splice(0));
  const [content, window_] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  if (content > window_) wrong.push(`scrolls sideways: ${content} > ${window_}; ${await widest(page)}`);
  wrong.push(...(await inaccessible(page, { type: "tag", values: STANDARDS })));
  return wrong;
}

// Where text is too like its ground, which alone follows from the theme.
export async function contrast(page) {
  return inaccessible(page, { type: "rule", values: ["color-contrast"] });
}

async function inaccessible(page, runOnly) {
  // Colours that are on their way from one theme to the other are those of neither.
  await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {}))));
  // Legacy mode looks at the page itself, not at frames within it: a test finds a page that has one.
  const { violations } = await new AxeBuilder({ page }).options({ runOnly }).setLegacyMode(true).analyze();
  return violations.map(({ id, help, nodes }) =>
    `${id}: ${help}: ${nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ""}`).join("; ")}`);
}

export async function widest(page) {
  return page.evaluate(() => {
    const over = [...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > window.innerWidth + 1);
    return over.slice(0, 3).map((e) => `${e.tagName}.${e.className}`).join(", ");
  });
}
