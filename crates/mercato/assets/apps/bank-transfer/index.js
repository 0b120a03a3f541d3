// A payment provider: the customer transfers the sum and names the reference.

/** The remainder of a decimal number of any length by 97. */
function mod97(digits) {
  return [...digits].reduce((rest, digit) => (rest * 10 + Number(digit)) % 97, 0);
}

/** Letters become two digits, A = 10 to Z = 35 (ISO 7064). */
function toDigits(text) {
  return text.replace(/[A-Z]/g, (letter) => String(letter.charCodeAt(0) - 55));
}

/** ISO 11649: `RF`, two check digits, the order's number. */
function creditorReference(orderNumber) {
  const body = String(orderNumber).toUpperCase().replace(/[^A-Z0-9]/g, "").slice(-21);
  const check = 98 - mod97(toDigits(body + "RF00"));
  return `RF${String(check).padStart(2, "0")}${body}`;
}

function isCreditorReference(text) {
  const compact = text.toUpperCase().replace(/\s/g, "");
  return /^RF\d{2}[A-Z0-9]{1,21}$/.test(compact) && mod97(toDigits(compact.slice(4) + compact.slice(0, 4))) === 1;
}

module.exports = {
  creditorReference,
  isCreditorReference,
  initiate(order, settings) {
    return {
      status: "pending",
      instructions: {
        holder: settings.holder,
        iban: settings.iban,
        amount: order.total,
        currency: order.currency,
        reference: creditorReference(order.number),
      },
    };
  },
};
