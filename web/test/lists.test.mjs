// Orders, columns and saved views of lists, as people use them without scripts; and whether tables of many columns
// hold from the narrowest window to the widest.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { begin, end, faults, open } from "./dashboard.mjs";

let origin;

before(async () => {
  origin = await begin();
}, { timeout: 600_000 });

after(end, { timeout: 60_000 });

const without = { javaScriptEnabled: false };
const query = (page) => new URL(page.url()).searchParams;

test("without scripts headings put a list in order and keep its filters", { timeout: 120_000 }, async () => {
  const context = await open("light", 1280, without);
  const page = await context.newPage();
  await page.goto(`${origin}/findings?severity=high&columns=opened,rule`);
  await page.getByRole("columnheader", { name: "Opened" }).getByRole("link").click();
  assert.equal(query(page).get("sort"), "opened");
  assert.equal(query(page).get("severity"), "high");
  assert.equal(await page.locator("th[aria-sort=descending]").innerText(), "Opened ↓");
  await page.getByRole("columnheader", { name: "Opened" }).getByRole("link").click();
  assert.equal(query(page).get("sort"), "oldest");
  const times = await page.locator("td[data-label=Opened] time").evaluateAll((all) => all.map((it) => it.dateTime));
  assert.ok(times.length > 1);
  assert.deepEqual(times, [...times].sort());
  await context.close();
});

test("without scripts columns and an order are chosen, and taken back", { timeout: 120_000 }, async () => {
  const context = await open("light", 1280, without);
  const page = await context.newPage();
  await page.goto(`${origin}/findings?severity=high`);
  const tools = page.locator(".list-tools details", { hasText: "Columns and order" });
  await tools.locator("summary").click();
  for (const name of ["Account", "Last seen", "Subject"]) await tools.getByLabel(name, { exact: true }).uncheck();
  await tools.getByLabel("Rule", { exact: true }).check();
  await tools.getByLabel("Order").selectOption("rule");
  await tools.getByRole("button", { name: "Show" }).click();
  assert.equal(query(page).get("severity"), "high");
  const heads = await page.locator("main table.cards thead th").allInnerTexts();
  assert.deepEqual(heads, ["Severity", "Finding", "Rule ↑", "State"]);
  const rules = await page.locator("td[data-label=Rule]").allInnerTexts();
  assert.deepEqual(rules, [...rules].sort());
  await page.locator(".list-tools summary", { hasText: "Columns and order" }).click();
  await page.getByRole("link", { name: "As usual" }).click();
  assert.equal(query(page).get("columns"), null);
  assert.ok((await page.locator("main table.cards thead th").allInnerTexts()).includes("Account"));
  await context.close();
});

test("without scripts a list is saved, opened, renamed and deleted", { timeout: 120_000 }, async () => {
  const context = await open("light", 1280, without);
  const page = await context.newPage();
  const menu = () => page.locator(".list-tools details", { hasText: "Saved views" });
  await page.goto(`${origin}/roles?associated=true&sort=longest_unused`);
  await menu().locator("summary").click();
  await menu().getByLabel("Name").fill("Roles of pods, unused");
  await menu().getByRole("button", { name: "Save this list" }).click();
  assert.equal(query(page).get("sort"), "longest_unused", "the list is shown again");
  await page.goto(`${origin}/roles`);
  await menu().locator("summary").click();
  await menu().getByRole("link", { name: "Roles of pods, unused" }).click();
  assert.equal(query(page).get("associated"), "true");
  assert.equal(new URL(page.url()).pathname, "/roles");

  await page.goto(`${origin}/settings/views`);
  const row = (name) => page.locator("tr", { hasText: name });
  await row("Roles of pods, unused").locator("summary").click();
  await row("Roles of pods, unused").getByLabel("Name").fill("To be removed");
  await row("Roles of pods, unused").getByRole("button", { name: "Rename" }).click();
  await row("To be removed").locator("summary").click();
  await row("To be removed").getByRole("button", { name: "Delete" }).click();
  assert.equal(await row("To be removed").count(), 0);
  await context.close();
});

const WIDE = [
  "/findings?columns=account,assignee,due,fingerprint,first_seen,last_seen,number,opened,role,rule,state,subject,workloads",
  "/associations?columns=association_id,cluster,created,external_id,findings,modified,owner_arn,role,session_tags,sessions,tags,target_role",
  "/roles?columns=account,associations,boundary,created,findings,instance_profiles,last_used,policies,region,role_id,tags",
  "/clusters?columns=agent,associations,authentication,created,findings,namespaces,region,role,status,tags,version",
  "/sessions?columns=access_key,attribution,duration,event_id,external_id,pod,principal,region,role,source_ip,when",
  "/settings/views",
];

for (const [theme, width] of [["light", 320], ["dark", 375], ["light", 768], ["dark", 1280], ["light", 3840]]) {
  test(`tables of every column hold, ${theme}, ${width} px`, { timeout: 300_000 }, async (t) => {
    const context = await open(theme, width);
    for (const address of WIDE) {
      await t.test(address, async () => {
        const page = await context.newPage();
        await page.goto(origin + address);
        for (const summary of await page.locator(".list-tools summary").all()) await summary.click();
        if (process.env.ROLECALL_SHOTS) {
          mkdirSync(process.env.ROLECALL_SHOTS, { recursive: true });
          const name = `list-${address.split("?")[0].replaceAll("/", "")}-${theme}-${width}.png`;
          await page.screenshot({ path: path.join(process.env.ROLECALL_SHOTS, name) });
        }
        assert.deepEqual(await faults(page), []);
        await page.close();
      });
    }
    await context.close();
  });
}
