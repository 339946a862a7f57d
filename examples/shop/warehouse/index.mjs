// The warehouse: note a shipment for each order. No packages: only what Node itself has.
import { put } from "./dynamodb.mjs";

export const handler = async (event) => {
  for (const record of event.Records) {
    const order = JSON.parse(record.Sns.Message);
    const parcels = order.lines.reduce((sum, line) => sum + line.quantity, 0);
    await put(process.env.TABLE, {
      id: { S: order.id },
      parcels: { N: String(parcels) },
      noted_at: { S: new Date().toISOString() },
    });
    console.log("shipment noted", order.id);
  }
};
