// Signs an event as Stripe's own library does: {payload, secret} in, {header} out.
import { text } from 'node:stream/consumers';
import Stripe from 'stripe';

const { payload, secret } = JSON.parse(await text(process.stdin));
const stripe = new Stripe('sk_test_of_nobody');
console.log(JSON.stringify({ header: stripe.webhooks.generateTestHeaderString({ payload, secret }) }));
