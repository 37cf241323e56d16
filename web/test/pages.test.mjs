// Does on the dashboard what people do: filters, keys, approvals, triage, without scripts and with them.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { begin, end, faults, open } from "./dashboard.mjs";

let origin;

before(async () => {
  origin = await begin();
}, { timeout: 600_000 });

after(end, { timeout: 60_000 });

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

test("what a finding says has room at every width", { timeout: 120_000 }, async () => {
  for (const width of [320, 660, 768, 900, 1024, 1180, 1280, 1440, 2560]) {
    const context = await open("light", width);
    const page = await context.newPage();
    for (const address of ["/findings", "/findings?group=rule"]) {
      await page.goto(origin + address);
      const room = await page.locator("tbody tr th a.title").first().evaluate((it) => it.parentElement.getBoundingClientRect().width);
      assert.ok(room >= 200, `${address} at ${width}: ${room} px`);
    }
    await context.close();
  }
});

test("the menu of a narrow page shows where one is", { timeout: 120_000 }, async () => {
  for (const javaScriptEnabled of [true, false]) {
    const context = await open("light", 375, { javaScriptEnabled });
    const page = await context.newPage();
    for (const section of ["findings", "roles", "reports", "settings"]) {
      await page.goto(`${origin}/${section}`);
      const at = await page.locator('.nav [aria-current="page"]').boundingBox();
      assert.ok(at.x >= 0 && at.x + at.width <= 375, `${section}: ${JSON.stringify(at)}, scripts: ${javaScriptEnabled}`);
    }
    await context.close();
  }
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
  assert.deepEqual(await faults(page), []);
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
