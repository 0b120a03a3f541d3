// Says which carts are due for a reminder now. Sending is the shop's business.

const HOUR = 60 * 60 * 1000;
const REMINDERS = [4 * HOUR, 72 * HOUR];

function isQuiet(hour, { quiet_from: from = 21, quiet_until: until = 8 }) {
  return from <= until ? hour >= from && hour < until : hour >= from || hour < until;
}

/** A cart is due when the next reminder's time has come and nothing was sent for it yet. */
function isDue(cart, now) {
  const next = REMINDERS[cart.reminders_sent];
  return next !== undefined && now - Date.parse(cart.updated_at) >= next;
}

function dueReminders(carts, settings, now = Date.now()) {
  if (isQuiet(new Date(now).getHours(), settings)) return [];
  return carts.filter((cart) => cart.consent && cart.items.length > 0 && !cart.completed && isDue(cart, now));
}

module.exports = { dueReminders };
