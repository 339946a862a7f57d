// Loaded once ahead of time, so that the first function finds the loader ready.
exports.handler = async (event) => event;
