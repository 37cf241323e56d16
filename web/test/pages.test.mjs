// Looks at the dashboard as people do: every kind of page, light and dark, wide and narrow.
//
// Fails on a console error, a violation of the content security policy (which stays in force), a
// page that scrolls sideways, and whatever axe finds against WCAG 2.2 AA. Starts `rolecall demo`
// itself; ROLECALL_LOGIN_URL names a fresh one-time link of a service that runs already, and
// ROLECALL_SHOTS a folder for pictures.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const BROWSERS = [process.env.ROLECALL_BROWSER, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const WIDTHS = [1280, 375];
const THEMES = ["light", "dark"];
const SECTIONS = ["findings", "changes", "baselines", "associations", "roles", "sessions", "accounts", "rules", "scans"];

let service;
let data;
let browser;
let origin;
let cookies;
let pages;

before(async () => {
  const link = process.env.ROLECALL_LOGIN_URL ?? (await start());
  const executablePath = BROWSERS.find((file) => file && existsSync(file));
  assert.ok(executablePath, "a Chromium is needed: install it, or name one in ROLECALL_BROWSER");
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-quic"] });
  origin = new URL(link).origin;
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(link);
  assert.equal(new URL(page.url()).pathname, "/", "the one-time link signs in");
  cookies = await context.cookies();
  pages = await choose(page);
  await context.close();
}, { timeout: 600_000 });

after(async () => {
  await browser?.close();
  if (service) {
    const ended = new Promise((resolve) => service.once("exit", resolve));
    service.kill("SIGTERM");
    await ended;
  }
  if (data) rmSync(data, { recursive: true, force: true });
}, { timeout: 60_000 });

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

// One page of each kind: the sections, and the first thing that each of them lists.
async function choose(page) {
  const chosen = ["/", "/findings?group=rule", "/findings?q=no-such-text", "/findings?severty=high", "/problems", "/login"];
  const name = encodeURIComponent("eks-payments-checkout-6-1b2c3d4e-0000-4000-8000-000000000000");
  chosen.push("/search?q=payments", "/search?q=no-such-name", "/search", "/exceptions", "/exceptions?state=ended", "/settings", "/settings/sessions", "/settings/tokens", "/settings/audit-log", "/settings/audit-log?actor=nobody", "/findings?state=suppressed", "/findings?assigned=true");
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

async function open(theme, width, more = {}) {
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

for (const theme of THEMES) {
  for (const width of WIDTHS) {
    test(`pages, ${theme}, ${width} px`, { timeout: 300_000 }, async (t) => {
      const context = await open(theme, width);
      for (const address of pages) {
        await t.test(address, () => look(context, address, theme, width));
      }
      await context.close();
    });
  }
}

async function look(context, address, theme, width) {
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("console", (message) => {
    const refused = /status of (400|404)/.test(message.text());
    if (message.type() === "error" && !refused) wrong.push(`console: ${message.text()}`);
  });
  await page.goto(origin + address);
  wrong.push(...(await page.evaluate(() => window.violations)));
  const [content, window_] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  if (content > window_) wrong.push(`scrolls sideways: ${content} > ${window_}; ${await widest(page)}`);
  if (process.env.ROLECALL_SHOTS) await shoot(page, address, theme, width);
  const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]).analyze();
  for (const { id, help, nodes } of violations) {
    wrong.push(`${id}: ${help}: ${nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ""}`).join("; ")}`);
  }
  await page.close();
  assert.deepEqual(wrong, []);
}

async function widest(page) {
  return page.evaluate(() => {
    const over = [...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > window.innerWidth + 1);
    return over.slice(0, 3).map((e) => `${e.tagName}.${e.className}`).join(", ");
  });
}

async function shoot(page, address, theme, width) {
  mkdirSync(process.env.ROLECALL_SHOTS, { recursive: true });
  const name = address.replace(/[^a-z0-9]+/gi, "-").slice(0, 40) || "-";
  await page.screenshot({ path: path.join(process.env.ROLECALL_SHOTS, `${name}-${theme}-${width}.png`), fullPage: true });
}

test("without scripts filters, colours and links work", { timeout: 120_000 }, async () => {
  const context = await open("light", 1280, { javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`${origin}/findings`);
  await page.selectOption("select[name=severity]", "high");
  await page.click("form.filters button");
  assert.equal(new URL(page.url()).searchParams.get("severity"), "high");
  await page.click("button[name=theme][value=dark]");
  assert.equal(await page.getAttribute("html", "class"), "dark");
  assert.equal(new URL(page.url()).searchParams.get("severity"), "high", "and the filter is still in the address");
  await page.locator("tbody a.title").first().click();
  assert.match(page.url(), /\/findings\/\d+$/);
  await context.close();
});

test("without scripts a request is decided, and a document stands in", { timeout: 120_000 }, async () => {
  const context = await open("light", 1280, { javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`${origin}/associations`);
  await page.locator('main a.title[href^="/associations/"]').first().click();
  await page.locator('.actions a[href^="/simulate?"]').click();
  await page.fill("input[name=action]", "s3:GetObject");
  await page.fill("input[name=resource]", "arn:aws:s3:::orders/1");
  await page.locator("summary", { hasText: "What if" }).click();
  await page.selectOption("select[name=policy_type]", "scp");
  const denies = { Version: "2012-10-17", Statement: [{ Sid: "Never", Effect: "Deny", Action: "*", Resource: "*" }] };
  await page.fill("textarea[name=document]", JSON.stringify(denies));
  await page.click("form.ask button.primary");
  assert.match(await page.locator("#answer h2").innerText(), /^Explicit deny/);
  await page.locator("table a", { hasText: "Never" }).first().click();
  assert.match(page.url(), /#document-\d+\/Statement\/0$/);
  await context.close();
});

// Waits until a worker has judged: the list of an address has a row, or none.
async function judged(page, address, isListed) {
  for (let attempt = 0; attempt < 240; attempt += 1) {
    await page.goto(origin + address);
    const rows = await page.locator('main a.title[href^="/findings/"]').count();
    if (rows > 0 === isListed) return;
    await page.waitForTimeout(500);
  }
  assert.fail(`${address} ${isListed ? "lists nothing" : "lists something"}`);
}

test("without scripts changes are approved and withdrawn, and a state is approved", { timeout: 600_000 }, async () => {
  const context = await open("light", 1280, { javaScriptEnabled: false });
  const page = await context.newPage();
  const widened = "/changes?effect=widened&approval=none&resource_type=AWS::IAM::Role&change=inline_policy_changed";
  await page.goto(origin + widened);
  const change = await page.locator('main a.title[href^="/changes/"]').first().getAttribute("href");
  const open_ = `/findings?rule_id=change-widens-access&state=open&subject_key=${change.split("/").at(-1)}`;
  await judged(page, open_, true);

  // On its page, with a reason: the finding resolves. Withdrawn: it is open again.
  const approve = "section[aria-labelledby=approval-h]";
  const state = () => page.locator(`${approve} header .badge`).innerText();
  await page.goto(origin + change);
  assert.equal(await state(), "Not approved");
  await page.fill(`${approve} form >> nth=0 >> input[name=reason]`, "Reviewed with the team");
  await page.click(`${approve} button.primary`);
  assert.equal(await state(), "Approved");
  await judged(page, open_, false);
  await page.goto(origin + change);
  await page.fill(`${approve} form >> nth=1 >> input[name=reason]`, "A mistake");
  await page.click(`${approve} form >> nth=1 >> button`);
  assert.equal(await state(), "Approval withdrawn");
  await judged(page, open_, true);

  // As the state of its resource: the change is approved with it, and withdrawn with it.
  await page.goto(origin + change);
  await page.locator('a[href$="#baseline"]').click();
  const role = new URL(page.url()).pathname;
  await page.locator("#baseline summary").click();
  await page.fill("#baseline input[name=reason]", "The role is as it should be");
  await page.click("#baseline button.primary");
  assert.equal(new URL(page.url()).pathname, role);
  assert.equal(await page.locator("#baseline header .badge").innerText(), "Matches");
  await judged(page, open_, false);
  await page.goto(`${origin}${role}#baseline`);
  await page.locator("#baseline a.more").click();
  await page.fill('form[action$="/withdrawal"] input[name=reason]', "Looked at the wrong role");
  await page.click('form[action$="/withdrawal"] button');
  assert.ok((await page.locator("main").innerText()).includes("Not in force any more"));
  await judged(page, open_, true);

  // All of a list together.
  await page.goto(`${origin}/changes?resource_type=AWS::EKS::Cluster`);
  const all = page.locator("details summary", { hasText: /^Approve \d+ of these changes/ });
  assert.ok(await all.count(), "some are not approved");
  await all.click();
  await page.fill("details input[name=reason]", "The upgrade of this week");
  await page.click("details button.primary");
  assert.equal(await all.count(), 0);
  assert.ok((await page.locator(".badge", { hasText: "Approved" }).count()) > 0);
  await context.close();
});

test("without scripts an approval ends with its time, and a change that was taken back is over", { timeout: 600_000 }, async () => {
  const context = await open("light", 1280, { javaScriptEnabled: false });
  const page = await context.newPage();
  const rows = () => page.locator('main a.title[href^="/findings/"]');
  await page.goto(`${origin}/findings?rule_id=change-widens-access&state=open`);
  await rows().last().click();
  const change = await page.locator('main a[href^="/changes/"]').first().getAttribute("href");
  const open_ = `/findings?rule_id=change-widens-access&state=open&subject_key=${change.split("/").at(-1)}`;
  await judged(page, open_, true);

  // Approved until in a minute: the field takes days, and the form a time as well.
  const approve = "section[aria-labelledby=approval-h]";
  const state = () => page.locator(`${approve} header .badge`).innerText();
  await page.goto(origin + change);
  assert.equal(await state(), "Not approved");
  const ends = Date.now() + 60_000;
  await page.locator(`${approve} input[name=until]`).evaluate((field) => { field.type = "text"; });
  await page.fill(`${approve} input[name=until]`, new Date(ends).toISOString());
  await page.fill(`${approve} form >> nth=0 >> input[name=reason]`, "Until the migration is done");
  await page.click(`${approve} button.primary`);
  assert.equal(await state(), "Approved");
  await judged(page, open_, false);
  assert.ok(Date.now() < ends, "the finding resolved before the approval ended");

  // It ends by itself; the next scan opens the finding again.
  await page.waitForTimeout(Math.max(0, ends - Date.now()) + 1_000);
  await page.goto(origin + change);
  assert.equal(await state(), "Approval expired");
  await page.goto(`${origin}${open_}`);
  assert.equal(await rows().count(), 0, "nothing was judged since");
  await page.goto(`${origin}/scans`);
  await page.click('form[action="/scans"] button');
  await judged(page, open_, true);
  await rows().first().click();
  assert.match(await page.locator("main").innerText(), /reopened/i);

  // What a later change took back is over without anybody's approval.
  await page.goto(`${origin}/findings?rule_id=change-widens-access&state=resolved`);
  let taken = false;
  for (const href of await rows().evaluateAll((links) => links.map((link) => link.getAttribute("href")))) {
    await page.goto(origin + href);
    taken ||= (await page.locator("main").innerText()).includes("A later change took it back");
    if (taken) break;
  }
  assert.ok(taken, "the demo has a change that was taken back");
  await page.locator("main a", { hasText: "That change" }).click();
  assert.match(page.url(), /\/changes\/chg_/);
  await context.close();
});

test("keys move through the rows, and a choice applies at once", { timeout: 120_000 }, async () => {
  const context = await open("light", 1280);
  const page = await context.newPage();
  await page.goto(`${origin}/findings`);
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  assert.equal(await page.locator("tr.current").count(), 1);
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.name), "q");
  await Promise.all([page.waitForURL(/severity=high/), page.selectOption("select[name=severity]", "high")]);
  assert.ok(!page.url().includes("q="), "empty fields stay out of the address");
  await context.close();
});

test("the skip link is the first stop and leads to the content", { timeout: 120_000 }, async () => {
  const context = await open("light", 1280);
  const page = await context.newPage();
  await page.goto(`${origin}/`);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await context.close();
});

test("on paper the frame is gone and the content stays", { timeout: 120_000 }, async () => {
  const context = await open("dark", 1280);
  const page = await context.newPage();
  await page.emulateMedia({ media: "print" });
  await page.goto(`${origin}/findings`);
  assert.equal(await page.locator(".rail").isVisible(), false);
  assert.ok(await page.locator("tbody tr").first().isVisible());
  await context.close();
});

// A finding is acknowledged, suppressed, opened and told about, by forms alone.
test("without scripts a finding is triaged on its page", { timeout: 120_000 }, async () => {
  const context = await open("light", 1280, { javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`${origin}/findings?state=open&severity=high`);
  await page.locator("tbody a.title").first().click();
  const state = page.locator("section.triage header .badge");
  const triage = page.locator("section.triage");
  assert.equal(await state.innerText(), "Open");
  await triage.getByRole("button", { name: "Acknowledge" }).click();
  assert.equal(await state.innerText(), "Acknowledged");
  await triage.getByLabel("Assign to").fill("payments team");
  await triage.getByRole("button", { name: "Assign" }).click();
  await triage.getByLabel("Comment").fill("SEC-1204");
  await triage.getByRole("button", { name: "Comment" }).click();
  await triage.locator("summary", { hasText: "Suppress" }).click();
  await triage.getByLabel("Reason").selectOption("compensating_control");
  await triage.getByLabel("Justification").fill("An SCP denies it");
  await triage.getByRole("button", { name: "Suppress" }).click();
  assert.equal(await state.innerText(), "Suppressed");
  const history = await page.locator(".history").innerText();
  for (const text of ["Compensating control: An SCP denies it", "SEC-1204", "to payments team", "Acknowledged", "by operator"]) {
    assert.ok(history.includes(text), `${text}: ${history}`);
  }
  const address = new URL(page.url()).pathname;
  await page.goto(`${origin}/exceptions`);
  assert.ok(await page.locator(`a[href="${address}"]`).count(), "the exception is listed");
  await page.goto(origin + address);
  await triage.getByRole("button", { name: "End the suppression" }).click();
  assert.equal(await state.innerText(), "Open");
  await context.close();
});

test("a selection is acknowledged by keys, after a look at what would become of it", { timeout: 120_000 }, async () => {
  const context = await open("light", 1280);
  const page = await context.newPage();
  const states = () => page.locator("tbody td[data-label=State] .badge:first-child").allInnerTexts();
  await page.goto(`${origin}/findings?state=open&severity=medium`);
  const first = await page.locator("tbody a.title").evaluateAll((all) => all.slice(0, 2).map((a) => a.getAttribute("href")));
  assert.equal(first.length, 2);
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  assert.equal(await page.locator("input[name=id]:checked").count(), 2);
  await page.keyboard.press("a");
  await page.waitForURL(/findings\/triage/);
  assert.equal(await page.locator("h1").innerText(), "Acknowledge 2 findings");
  for (const href of first) assert.ok(await page.locator(`main a[href="${href}"]`).count(), href);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
  const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]).analyze();
  assert.deepEqual(violations.map((it) => it.id), []);
  await page.getByRole("button", { name: "Acknowledge 2 findings" }).click();
  await page.waitForURL(/findings\?/);
  await page.goto(`${origin}/findings?state=acknowledged&severity=medium`);
  const now = await page.locator("tbody a.title").evaluateAll((all) => all.map((a) => a.getAttribute("href")));
  assert.ok(first.every((href) => now.includes(href)), `${first}: ${now}`);
  assert.ok((await states()).every((text) => text === "Acknowledged"));
  await context.close();
});

test("a whole list is assigned, if it is as long as it was shown", { timeout: 120_000 }, async () => {
  const context = await open("light", 375);
  const page = await context.newPage();
  await page.goto(`${origin}/findings?severity=low`);
  const many = (await page.locator(".pager span").first().innerText()).match(/\d+/)[0];
  await page.locator("details.bulk summary").click();
  await page.locator("input[name=all]").check();
  await page.locator("form#triage").getByLabel("Assign to").fill("platform team");
  await page.locator("form#triage button[value=assign]").click();
  assert.match(await page.locator("h1").innerText(), new RegExp(`^Assign ${many} finding`));
  await page.locator("form.filters button.primary").click();
  await page.goto(`${origin}/findings?assignee=platform%20team&severity=low`);
  assert.equal((await page.locator(".pager span").first().innerText()).match(/\d+/)[0], many);
  await context.close();
});
