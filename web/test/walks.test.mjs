// Walks through the dashboard as five persons do on a day: each task of theirs ends in an answer.
//
// Every page on the way is held against its content security policy, its width and WCAG 2.2 AA.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { begin, end, faults, open } from "./dashboard.mjs";

const ACCOUNT = "444455556666";
const API = `${ACCOUNT}/eu-west-1/payments-prod-euw1/payments/api`;
const TABLE = `arn:aws:dynamodb:eu-west-1:${ACCOUNT}:table/payments-api`;
const JOURNAL = `arn:aws:iam::${ACCOUNT}:role/pods/ledger-journal`;

let origin;

before(async () => {
  origin = await begin();
}, { timeout: 600_000 });

after(end, { timeout: 60_000 });

// A walk in a window of its own. `look` holds the page as it stands against its faults.
async function walk(more, steps) {
  const context = await open("light", 1280, more);
  const page = await context.newPage();
  const look = async () => assert.deepEqual(await faults(page), [], page.url());
  await steps(page, look, context);
  await context.close();
}

const text = (page, selector) => page.locator(selector).first().innerText();
const count = async (page) => Number((await text(page, ".pager span")).replaceAll(/[^0-9]/g, ""));

test("a triager finds what to fix first, for whom, and hands it over", { timeout: 120_000 }, async () => {
  await walk({}, async (page, look, context) => {
    await page.goto(origin);
    const first = page.locator("ol.urgent li");
    assert.ok((await first.count()) >= 5, "five to fix first");
    assert.match(await first.first().innerText(), /Pods: \S+\/\S+/, "for whose pods");
    await page.locator("ol.urgent a.title", { hasText: "every action on every resource" }).first().click();
    await look();
    // Whose pods, which statement, and what to do, with the names filled in.
    const pods = page.locator("section[aria-labelledby=pods-h] a[href^='/associations/']");
    assert.ok(await pods.count(), "the pods that reach the role");
    const whole = await text(page, "main");
    assert.doesNotMatch(whole, /\b(ROLE|POLICY|NAMESPACE|ACCOUNT_ID|CLUSTER)\b/, "no placeholder is left");
    const triage = page.locator("section.triage");
    await triage.getByRole("button", { name: "Acknowledge" }).click();
    await triage.getByLabel("Assign to").fill("payments team");
    await triage.getByRole("button", { name: "Assign" }).click();
    await triage.locator("summary", { hasText: "Link a ticket" }).click();
    await triage.getByLabel("System").fill("jira");
    await triage.getByLabel("Key").fill("SEC-1204");
    await triage.getByLabel("URL").fill("https://jira.example.com/browse/SEC-1204");
    await triage.getByRole("button", { name: "Link the ticket" }).click();
    assert.equal(await triage.locator('a[href="https://jira.example.com/browse/SEC-1204"]').innerText(), "SEC-1204");
    assert.equal(await text(page, "section.triage header .badge"), "Acknowledged");
    await look();
    const address = new URL(page.url()).pathname;
    // The namespace's findings, its pods' roles' among them, as a file.
    await page.goto(`${origin}/findings?namespace=ledger`);
    assert.ok(await page.locator(`a[href="${address}"]`).count(), "a finding on the role of the namespace's pod");
    const rows = await count(page);
    await look();
    const file = await page.locator("a", { hasText: "NDJSON" }).first().getAttribute("href");
    const lines = (await (await context.request.get(origin + file)).text()).trim().split("\n");
    assert.equal(lines.length, rows, "the file has the rows of the list");
    assert.ok(lines.every((line) => JSON.parse(line).message), "each row says what it is");
  });
});

test("an auditor is told who used a role in a week, who could, and what was not seen", { timeout: 120_000 }, async () => {
  await walk({ javaScriptEnabled: false }, async (page) => {
    await page.goto(`${origin}/reports`);
    const day = (back) => new Date(Date.now() - back * 24 * 3600 * 1000).toISOString().slice(0, 10);
    const form = page.locator("form", { has: page.locator("input[name=role]") });
    await form.locator("input[name=role]").fill(JOURNAL);
    await form.locator("input[name=since]").fill(day(9));
    await form.locator("input[name=until]").fill(day(0));
    await form.getByRole("button").click();
    const did = await text(page, "section[aria-labelledby=did-h]");
    // The role is of one namespace's pods, and another's used it: nobody would guess.
    assert.match(did, /ledger\/journal/);
    assert.match(did, /settlement\/nightly/);
    assert.match(await text(page, "section[aria-labelledby=workloads-h]"), /ledger\/journal/);
    assert.ok((await text(page, "section[aria-labelledby=unseen-h]")).length > 40, "what was not seen is said");
    assert.match(await text(page, "section[aria-labelledby=head-h]"), /[0-9a-f]{64}/);
    // What is accepted, and until when.
    await page.goto(`${origin}/reports/exceptions`);
    assert.ok(await page.locator("main table tbody tr").count(), "accepted findings are listed");
  });
});

test("a responder goes from an access key to the pod, to what it did, and to who changed its access", { timeout: 120_000 }, async () => {
  await walk({}, async (page, look) => {
    // A pod's session: its page says the key by which calls are found.
    await page.goto(`${origin}/sessions?namespace=payments`);
    await page.locator("main a.title[href^='/sessions/']").first().click();
    const session = new URL(page.url()).pathname;
    const key = (await text(page, "main")).match(/ASIA[A-Z0-9]{12,}/)[0];
    await page.goto(`${origin}/search`);
    await page.locator("main input[name=q]").fill(key);
    await page.keyboard.press("Enter");
    await page.locator(`main a[href="${session}"]`).first().click();
    assert.match(await text(page, "main"), /payments\/\w+/, "the pod's namespace and service account");
    await look();
    // Who else can do that?
    await page.goto(`${origin}/who-can`);
    await page.locator("input[name=action]").fill("dynamodb:GetItem");
    await page.locator("input[name=resource]").fill(TABLE);
    await page.getByRole("button", { name: "Evaluate" }).click();
    const workloads = page.locator("section[aria-labelledby=workloads-h] tbody tr");
    assert.ok(await workloads.filter({ hasText: "payments/api" }).filter({ hasText: "Allowed" }).count(), "the pod itself");
    assert.equal(await workloads.filter({ hasText: "media/transcoder" }).count(), 0, "and not a pod without it");
    assert.match(await text(page, ".notice.unseen"), /Policies on resources are not collected/);
    await look();
    await workloads.filter({ hasText: "payments/api" }).getByRole("link", { name: "Simulate" }).click();
    assert.equal(await page.locator("input[name=action]").inputValue(), "dynamodb:GetItem");
    // What changed of it, and who did that.
    await page.goto(`${origin}/associations/${API}`);
    const widened = page.locator("section#history tr, #history tr").filter({ hasText: "Widened" }).filter({ hasText: "dynamodb:DeleteItem" });
    assert.match(await widened.first().innerText(), /AWSReservedSSO_AdministratorAccess/);
    await look();
  });
});

test("a platform engineer is told why a pod is refused, and what would mend it", { timeout: 120_000 }, async () => {
  await walk({}, async (page, look) => {
    await page.goto(`${origin}/search?q=payments/api`);
    await page.locator(`a[href="/associations/${API}"]`).first().click();
    await page.locator(".actions a", { hasText: "Simulate access" }).click();
    await page.locator("input[name=action]").fill("dynamodb:DeleteTable");
    await page.locator("input[name=resource]").fill(TABLE);
    await page.locator("input[name=bare]").check();
    await page.getByRole("button", { name: "Evaluate" }).click();
    assert.match(await text(page, "#verdict-h"), /deny/i);
    assert.ok((await text(page, "section[aria-labelledby=changes-h]")).includes("dynamodb:DeleteTable"), "what would allow it");
    await look();
    // What it may do and never did.
    await page.goto(`${origin}/associations/${API}`);
    await page.locator('a[href^="/unused-access?"]').first().click();
    assert.ok((await page.locator("main table tbody tr").count()) > 1, "what is granted, and what is used");
    await look();
  });
});

test("an administrator gives a program a token, sees what it did, and takes the token back", { timeout: 120_000 }, async () => {
  await walk({ javaScriptEnabled: false }, async (page, _, context) => {
    await page.goto(`${origin}/settings/tokens`);
    const form = page.locator("form", { has: page.locator("input[name=service_account], input[name=account]") }).first();
    await form.getByLabel("Service account").fill("tickets");
    await form.getByLabel("Owner").fill("security team");
    await form.getByLabel("Description").fill("files findings");
    await form.getByLabel("Days until it ends").fill("30");
    for (const scope of ["findings:read", "tickets:write"]) await form.getByLabel(scope, { exact: true }).check();
    await form.getByRole("button", { name: "Create token" }).click();
    const token = (await text(page, "main")).match(/rlc_\w+/)[0];
    // The bot's night: what is open and has no ticket, reserved, filed, linked.
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const ask = (method, path, data) => context.request.fetch(`${origin}/api/v1${path}`, { method, headers, data });
    const list = await (await ask("GET", "/findings?state=open&ticket=none&severity_min=high&limit=1")).json();
    const [item] = list.items ?? list.findings ?? list.data;
    for (const field of ["title", "remediation", "url", "workloads", "severity"]) assert.ok(field in item, field);
    assert.equal((await ask("GET", "/findings?severity=")).status(), 400, "an empty filter is no filter by chance");
    assert.equal((await ask("GET", "/accounts")).status(), 403, "what its scopes do not say is refused");
    await page.goto(`${origin}/settings/audit-log`);
    assert.match(await text(page, "main"), /tickets/, "the audit log names the token's account");
    await page.goto(`${origin}/settings/tokens`);
    await page.getByRole("button", { name: /Revoke/ }).first().click();
    assert.equal((await ask("GET", "/findings")).status(), 401, "and at once it is nobody's");
    await page.goto(`${origin}/settings/sessions`);
    assert.ok(await page.locator("main table tbody tr").count(), "who is signed in");
  });
});
