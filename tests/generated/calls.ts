// Calls with the client that @hey-api/openapi-ts makes: URL and token as arguments. Prints what was called.
// Compiled with `tsc --strict` in a folder beside the generated client: see tests/test_generated_clients.py.

import * as api from "./flowtally";
import { createClient, createConfig } from "./flowtally/client";

declare const process: { argv: string[]; exit(code: number): never };

const [, , url = "", token = ""] = process.argv;
const now = new Date();
const called: string[] = [];

type Answer<T, E> = { data: T | undefined; error: E | undefined };

function equal(found: unknown, wanted: unknown): void {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) {
    throw new Error(`${JSON.stringify(found)} is not ${JSON.stringify(wanted)} (after ${called.join(" ")})`);
  }
}

/** The data of a success. */
function got<T, E>(name: string, answer: Answer<T, E>): NonNullable<T> {
  if (answer.data === undefined || answer.data === null) throw new Error(`${name}: ${JSON.stringify(answer.error)}`);
  called.push(name);
  return answer.data;
}

const admin = createClient(createConfig({ baseUrl: url, auth: token }));
const day = (days: number): string => new Date(now.getTime() + days * 86_400_000).toISOString().slice(0, 10);

async function customers(): Promise<void> {
  const client = admin;
  const acme: api.AccountAnswer = got("createAccount", await api.createAccount({ client, body: { id: "acme" } }));
  const status: "active" | "suspended" | "closed" = acme.status;
  equal([status, acme.overage, Number.isNaN(Date.parse(acme.created_at))], ["active", "carry", false]);
  got("createAccount", await api.createAccount({ client, body: { id: "beta", timezone: "Europe/Berlin" } }));
  equal(got("readAccount", await api.readAccount({ client, path: { account: "acme" } })), acme);

  const page = got("listAccounts", await api.listAccounts({ client, query: { limit: 1 } }));
  const cursor: string | null = page.next;
  if (cursor === null) throw new Error("one page");
  const rest = got("listAccounts", await api.listAccounts({ client, query: { limit: 1, cursor } }));
  equal([...page.items, ...rest.items].map((one) => one.id), ["acme", "beta"]);

  const missing = await api.readAccount({ client, path: { account: "nobody" } });
  const problem: api.Problem | undefined = missing.error;
  equal([problem?.status, problem?.code, problem?.["account"], missing.data], [404, "unknown_account", "nobody", undefined]);
  called.push("readAccount");

  const body = { amount: 10_000, starts_at: now.toISOString() };
  const grant = got("giveGrant", await api.giveGrant({ client, path: { account: "acme" }, body }));
  equal([grant.amount, grant.pool, grant.expires_at], [10_000, "traffic", null]);

  const limit: api.LimitSetting = { amount: 5_000, window: "month" };
  const asked = { name: "alice", product: "residential", limit };
  const user = got("createUser", await api.createUser({ client, path: { account: "acme" }, body: asked }));
  equal(user.limit?.amount, 5_000);
  const change: api.UserChange = { status: "disabled", limit: null };
  const path = { account: "acme", user: user.id };
  const changed = got("changeUser", await api.changeUser({ client, path, body: change }));
  equal([changed.status, changed.limit], ["disabled", null]);
}

async function traffic(): Promise<void> {
  const client = admin;
  const path = { account: "acme" };
  const body: api.UsageEvent[] = ["1", "2", "2"].map((id) => ({
    ...{ source: "gw", account: "acme", id, user: "alice", product: "residential" },
    ...{ time: now.toISOString(), bytes_down: 3_000 },
  }));
  const sent = got("sendEvents", await api.sendEvents({ client, body }));
  equal([sent.stored, sent.duplicate, sent.receipts[0]?.status], [2, 1, "duplicate"]);
  const event = got("readEvent", await api.readEvent({ client, query: { source: "gw", id: "1" } }));
  equal([event.bytes_down, event.kind], [3_000, "use"]);

  const fix: api.Correction = { id: "fix-1", corrects: { source: "gw", id: "1" }, bytes_down: 2_000 };
  equal(got("sendCorrections", await api.sendCorrections({ client, body: [fix] })).stored, 1);

  const query: api.ReadUsageData["query"] = { from: day(-2), to: day(2), bucket: "total", by: ["user", "product"] };
  const usage: api.UsageAnswer = got("readUsage", await api.readUsage({ client, path, query }));
  equal(usage.total.bytes, 5_000);
  equal(usage.rows.map((row) => [row.user, row.product, row.bytes]), [["alice", "residential", 5_000]]);

  const balance = got("readBalance", await api.readBalance({ client, path }));
  const pool: api.PoolBalance | undefined = balance.pools["traffic"];
  equal([pool?.granted, pool?.spent, pool?.left], [10_000, 5_000, 5_000]);
  const why = got("explainBalance", await api.explainBalance({ client, path }));
  equal(why.pools["traffic"]?.used, 5_000);
  const users = got("listUsers", await api.listUsers({ client, path, query: { usage: true } }));
  equal(users.items[0]?.used?.bytes, 5_000);
  const changes = got("readChanges", await api.readChanges({ client, query: { account: "acme" } }));
  equal(changes.items.reduce((sum, one) => sum + one.bytes, 0), 5_000);
}

async function money(): Promise<void> {
  const client = admin;
  const path = { account: "acme" };
  const plan = { name: "10 KB", amount: 10_000, price_micros: 2_500_000, days: 30 };
  const made = got("createPlan", await api.createPlan({ client, body: plan }));
  const paid = got("createDeposit", await api.createDeposit({ client, path, body: { amount_micros: 10_000_000 } }));
  equal(paid.kind, "deposit");
  const headers = { "Idempotency-Key": "once" };
  const bought = got("createPurchase", await api.createPurchase({ client, path, headers, body: { plan: made.id } }));
  equal(bought.amount, 10_000);
  equal(got("readWallet", await api.readWallet({ client, path })).balance_micros, 7_500_000);
}

async function dialects(): Promise<void> {
  const asked: api.CredentialRequest = { scope: "manage", name: "shop" };
  const path = { account: "acme" };
  const made = got("createAccountCredential", await api.createAccountCredential({ client: admin, path, body: asked }));
  const own = createClient(createConfig({ baseUrl: url, auth: made.token ?? "" }));
  equal(got("readOwnCredential", await api.readOwnCredential({ client: own })).account, "acme");
  const asset = got("bytesflowsReadAsset", await api.bytesflowsReadAsset({ client: own }));
  equal(asset.data.totalTraffic, 20_000);

  // Each of the dialect's two secrets by the name of its header.
  const secrets: Record<string, string | undefined> = { token: made.token ?? "", key: made.key ?? "" };
  const client = createClient(createConfig({ baseUrl: url, auth: (scheme) => secrets[scheme.name ?? ""] }));
  const body: api.ThordataCreateUser = {
    ...{ username: "user123", password: "password123", traffic_limit: "100", status: "true" },
  };
  equal(got("thordataCreateProxyUser", await api.thordataCreateProxyUser({ client, body })).code, 200);
  const listed = got("thordataListProxyUsers", await api.thordataListProxyUsers({ client }));
  if (!("user_count" in listed.data)) throw new Error(listed.msg);
  equal((listed.data as api.ThordataUserList).list?.map((one) => one.username).sort(), ["alice", "user123"]);
  const left = got("thordataReadTrafficBalance", await api.thordataReadTrafficBalance({ client }));
  equal(left.code, 200);
}

async function main(): Promise<void> {
  await customers();
  await traffic();
  await money();
  await dialects();
  console.log(called.join(" "));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
