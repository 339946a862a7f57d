// One call of DynamoDB, signed by hand (Signature Version 4), so that the function needs no SDK.
import { createHash, createHmac } from "node:crypto";

const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const hmac = (key, text) => createHmac("sha256", key).update(text).digest();

export async function put(table, item) {
  const region = process.env.AWS_REGION;
  const endpoint = new URL(
    process.env.AWS_ENDPOINT_URL ?? `https://dynamodb.${region}.amazonaws.com`,
  );
  const body = JSON.stringify({ TableName: table, Item: item });
  const moment = new Date().toISOString().replace(/[-:]|\.\d{3}/g, "");
  const headers = {
    "content-type": "application/x-amz-json-1.0",
    host: endpoint.host,
    "x-amz-date": moment,
    "x-amz-security-token": process.env.AWS_SESSION_TOKEN,
    "x-amz-target": "DynamoDB_20120810.PutItem",
  };
  headers.authorization = authorization(headers, body, moment, region);
  delete headers.host; // fetch sets it
  const answer = await fetch(endpoint, { method: "POST", headers, body });
  if (!answer.ok) throw new Error(`PutItem: ${answer.status} ${await answer.text()}`);
}

function authorization(headers, body, moment, region) {
  const names = Object.keys(headers).sort();
  const canonical = [
    "POST",
    "/",
    "",
    ...names.map((name) => `${name}:${headers[name]}`),
    "",
    names.join(";"),
    sha256(body),
  ].join("\n");
  const scope = [moment.slice(0, 8), region, "dynamodb", "aws4_request"];
  const text = ["AWS4-HMAC-SHA256", moment, scope.join("/"), sha256(canonical)].join("\n");
  const key = scope.reduce(hmac, `AWS4${process.env.AWS_SECRET_ACCESS_KEY}`);
  const signature = createHmac("sha256", key).update(text).digest("hex");
  const credential = `${process.env.AWS_ACCESS_KEY_ID}/${scope.join("/")}`;
  return (
    `AWS4-HMAC-SHA256 Credential=${credential}, ` +
    `SignedHeaders=${names.join(";")}, Signature=${signature}`
  );
}
