// As rehearsal.cjs, for ES modules.
export const handler = async (event) => event;
