// Looks at the dashboard as people do: every kind of page, light and dark, wide and narrow.
//
// Fails on a console error, a violation of the content security policy (which stays in force), a
// page that scrolls sideways, and whatever axe finds against WCAG 2.2 AA. ROLECALL_SHOTS names a
// folder for pictures.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { begin, contrast, end, faults, open, widest } from "./dashboard.mjs";

const SECTIONS = ["findings", "changes", "baselines", "associations", "roles", "sessions", "accounts", "rules", "scans"];

let origin;
let pages;

before(async () => {
  origin = await begin();
  const context = await open("light", 1280);
  pages = await choose(await context.newPage());
  await context.close();
}, { timeout: 600_000 });

after(end, { timeout: 60_000 });

// One page of each kind: the sections, and the first thing that each of them lists.
async function choose(page) {
  const chosen = ["/", "/findings?group=rule", "/findings?q=no-such-text", "/findings?severty=high", "/problems", "/login"];
  const name = encodeURIComponent("eks-payments-checkout-6-1b2c3d4e-0000-4000-8000-000000000000");
  chosen.push("/search?q=payments", "/search?q=no-such-name", "/search", "/exceptions", "/exceptions?state=ended", "/settings", "/settings/sessions", "/settings/views", "/settings/tokens", "/settings/audit-log", "/settings/audit-log?actor=nobody", "/findings?state=suppressed", "/findings?assigned=true");
  chosen.push("/usage", "/ingestion", "/sessions?kind=saml&attributed=true", "/sessions/names", `/sessions/names?name=${name}&pattern=%5Eeks-`);
  chosen.push("/simulate", "/simulate?principal=nobody&action=s3%3AGetObject", "/rules/session-name-convention");
  chosen.push("/docs/api", "/docs/tutorial", "/docs/drift", "/docs/performance", "/docs/policies");
  // A long name in an address that is not there.
  chosen.push(`/roles/arn:aws:iam::444455556666:role/${"a-long-name-".repeat(8)}`);
  for (const section of SECTIONS) {
    chosen.push(`/${section}`);
    await page.goto(`${origin}/${section}`);
    const first = page.locator(`main a.title[href^="/${section}/"]`).first();
    assert.ok(await first.count(), `${section} lists something`);
    chosen.push(await first.getAttribute("href"));
  }
  // What only a trail can fill: a chain of three sessions, a workload with its calls, a file that ends in the middle.
  await page.goto(`${origin}/sessions?role_arn=arn:aws:iam::777788889999:role/payments-vault`);
  const hop = page.locator('main a.title[href^="/sessions/"]').first();
  assert.ok(await hop.count(), "the pod's session went on to a third role");
  chosen.push(await hop.getAttribute("href"));
  await page.goto(`${origin}/usage`);
  assert.ok((await page.locator(".heatmap tbody tr").count()) > 20, "workloads called something");
  const workload = page.locator('.heatmap a[href^="/associations/"]').first();
  chosen.push(await workload.getAttribute("href"));
  await page.goto(origin + chosen.at(-1));
  assert.ok((await page.locator("section[aria-labelledby=usage-h] tbody tr").count()) > 1, "its actions are listed");
  chosen.push(await page.locator('a[href^="/unused-access?"]').getAttribute("href"));
  const simulate = await page.locator('.actions a[href^="/simulate?"]').getAttribute("href");
  const table = "arn:aws:dynamodb:eu-west-1:444455556666:table/payments-api";
  chosen.push(`${simulate}&action=dynamodb:GetItem&resource=${table}&bare=true`, `${simulate}&action=dynamodb:DeleteTable&resource=${table}`);
  await page.goto(`${origin}/ingestion`);
  assert.ok((await page.locator("main").innerText()).includes("trail-logs"), "the bucket is a source");
  // A finding on a role that pods reach, and the list of one namespace.
  await page.goto(`${origin}/findings?via=role`);
  const reached = page.locator('main a.title[href^="/findings/"]').first();
  assert.ok(await reached.count(), "a finding on a role that a pod reaches");
  assert.ok(await page.locator("main .pods").count(), "the list names the pods");
  chosen.push(await reached.getAttribute("href"), "/findings?namespace=payments&via=role");
  await page.goto(origin + chosen.at(-2));
  const pod = page.locator('section[aria-labelledby=pods-h] a[href^="/associations/"]').first();
  assert.ok(await pod.count(), "the finding lists its pods");
  const finding = chosen.at(-2);
  chosen.push(await pod.getAttribute("href"));
  await page.goto(origin + chosen.at(-1));
  const listed = page.locator(`section[aria-labelledby=findings-h] a[href="${finding}"]`);
  assert.ok(await listed.count(), "the pod's page lists the finding on its role");
  const role = "arn:aws:iam::444455556666:role/pods/payments-api";
  chosen.push(`/roles/${role}`, `/unused-access?role=${role}`, `/unused-access?role=${role}&days=7`);
  // Reports, of what was used and of what was not.
  const workloadKey = "444455556666/eu-west-1/payments-prod-euw1/payments/api";
  chosen.push("/reports", "/reports/summary", "/reports/exceptions", "/reports/exceptions?state=ended", `/reports/access?role=${role}`, `/reports/access?workload=${workloadKey}`, `/reports/access?role=${role}&since=2020-01-01&until=2020-01-08`, "/docs/reports");
  // As of a day between the first scan and today, and what leads there.
  const past = new Date(Date.now() - 5 * 24 * 3600 * 1000).toISOString().slice(0, 10);
  chosen.push(`/assumable-by?role=${role}`, `/assumable-by?role=${role}&at=${past}`, `/unused-access?role=${role}&at=${past}`);
  chosen.push(`/roles/${role}?at=${past}`, `/usage?at=${past}`, `${simulate}&action=dynamodb:GetItem&resource=${table}&at=${past}`);
  await page.goto(origin + chosen.find((address) => address.startsWith("/associations/")));
  const history = page.locator('#history a.more[href^="/workload-history?"]');
  assert.ok(await history.count(), "the first workload has a history");
  chosen.push(await history.getAttribute("href"));
  return chosen;
}

test("every kind of page is as it should be, light, dark and narrow", { timeout: 1_800_000 }, async (t) => {
  const wide = await open("light", 1280);
  const narrow = await open("dark", 375);
  for (const address of pages) {
    await t.test(address, async () => {
      const wrong = [...(await look(wide, address, true)), ...(await look(narrow, address, false))];
      assert.deepEqual(wrong, []);
    });
  }
  await Promise.all([wide.close(), narrow.close()]);
});

// A page in a window, and in the other theme if asked for.
async function look(context, address, otherTheme) {
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("console", (message) => {
    const refused = /status of (400|404)/.test(message.text());
    if (message.type() === "error" && !refused) wrong.push(`console: ${message.text()}`);
  });
  await page.goto(origin + address);
  await shoot(page, address);
  wrong.push(...(await words(page)));
  await page.evaluate(fewer);
  wrong.push(...(await faults(page)));
  if (await page.locator("iframe, frame").count()) wrong.push("a frame, which nothing looks into");
  if (otherTheme) {
    await page.emulateMedia({ colorScheme: "dark" });
    await shoot(page, address);
    wrong.push(...(await contrast(page)));
  }
  wrong.push(...(await withLongNames(page)));
  wrong.push(...(await page.evaluate(() => window.violations)));
  await page.close();
  const { width } = page.viewportSize();
  return wrong.map((it) => `${width} px: ${it}`);
}

// Of the hundreds of cards of the API reference, all of one make, some are enough: axe takes minutes for all of them.
function fewer() {
  for (const stack of document.querySelectorAll("main .stack")) {
    const cards = stack.querySelectorAll(":scope > section.card");
    if (cards.length > 12) for (const card of [...cards].slice(4)) card.remove();
  }
}

// Outside of code no page shows raw backticks, "1 findings", or thousands without a space between them.
async function words(page) {
  return page.evaluate(() => {
    const found = [];
    const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.parentElement.closest("pre, code, textarea, script, .mono, .said, time")) continue;
      const text = node.data.replace(/\s+/g, " ").trim();
      if (text.includes("`")) found.push(`raw backticks: ${text}`);
      if (/^1 (findings|listings|files|times|roles|pods|accounts|scans|sessions|changes|workloads|calls|days|events|rules|records|associations|tickets)\b/.test(text)) found.push(`one of many: ${text}`);
      if (/^[1-9]\d{3,7}$/.test(text)) found.push(`thousands: ${text}`);
    }
    return found;
  });
}

// Clusters have up to 100 characters without a place to break, namespaces and service accounts 63, roles 64: no page
// may come to scroll sideways by such names.
async function withLongNames(page) {
  await page.evaluate(() => {
    const names = [/commerce-prod-euw1|data-prod-euw1|payments-prod-euw1|[a-z]+-prod-[a-z]+\d/g, /\bpayments-api\b/g, /\bcheckout\b|\bpayments\b/g];
    const long = ["c".repeat(100), "r".repeat(64), "n".repeat(63)];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (["SCRIPT", "STYLE", "TITLE"].includes(node.parentElement?.tagName)) continue;
      names.forEach((name, i) => { node.data = node.data.replace(name, long[i]); });
    }
  });
  const found = [];
  for (const width of [page.viewportSize().width, 1440].slice(0, page.viewportSize().width > 1000 ? 2 : 1)) {
    await page.setViewportSize({ width, height: 900 });
    const content = await page.evaluate(() => document.documentElement.scrollWidth);
    if (content > width) found.push(`scrolls sideways by long names at ${width}: ${content}; ${await widest(page)}`);
  }
  return found;
}

async function shoot(page, address) {
  if (!process.env.ROLECALL_SHOTS) return;
  mkdirSync(process.env.ROLECALL_SHOTS, { recursive: true });
  const isDark = await page.evaluate(() => matchMedia("(prefers-color-scheme: dark)").matches);
  const setting = `${isDark ? "dark" : "light"}-${page.viewportSize().width}`;
  const name = address.replace(/[^a-z0-9]+/gi, "-").slice(0, 60) || "-";
  await page.screenshot({ path: path.join(process.env.ROLECALL_SHOTS, `${name}-${setting}.png`), fullPage: true });
}
