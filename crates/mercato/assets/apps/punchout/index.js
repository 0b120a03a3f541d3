// Hands a cart back to the buyer's purchasing system as cXML.

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };

function escape(text) {
  return String(text).replace(/[&<>"']/g, (character) => ENTITIES[character]);
}

function money(amount, currency) {
  return `<Money currency="${escape(currency)}">${(amount / 100).toFixed(2)}</Money>`;
}

function itemIn(item, currency) {
  return `<ItemIn quantity="${item.quantity}">
  <ItemID><SupplierPartID>${escape(item.sku)}</SupplierPartID></ItemID>
  <ItemDetail>
    <UnitPrice>${money(item.unit_price, currency)}</UnitPrice>
    <Description xml:lang="en">${escape(item.title)}</Description>
    <UnitOfMeasure>${escape(item.unit || "EA")}</UnitOfMeasure>
    <Classification domain="UNSPSC">${escape(item.unspsc || "00000000")}</Classification>
  </ItemDetail>
</ItemIn>`;
}

/** The message that the buyer's browser posts to the address its system named. */
function orderMessage(cart, buyerCookie) {
  const total = cart.items.reduce((sum, item) => sum + item.unit_price * item.quantity, 0);
  return `<Message><PunchOutOrderMessage>
<BuyerCookie>${escape(buyerCookie)}</BuyerCookie>
<PunchOutOrderMessageHeader operationAllowed="edit"><Total>${money(total, cart.currency)}</Total></PunchOutOrderMessageHeader>
${cart.items.map((item) => itemIn(item, cart.currency)).join("\n")}
</PunchOutOrderMessage></Message>`;
}

module.exports = { orderMessage };
