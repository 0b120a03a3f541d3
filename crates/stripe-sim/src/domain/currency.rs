//! The currencies Stripe takes, and how an amount in their smallest unit is written.

/// Stripe's presentment currencies (docs.stripe.com/currencies).
const SUPPORTED: &str = "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bif bmd bnd bob brl bsd bwp byn \
    bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg \
    huf idr ils inr isk jmd jpy kes kgs khr kmf krw kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk \
    mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos \
    srd std szl thb tjs top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw";

/// Currencies without a smaller unit (docs.stripe.com/currencies#zero-decimal).
const ZERO_DECIMAL: &str = "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf";

/// Whether Stripe takes this currency, given in lower case.
#[must_use]
pub fn is_supported(code: &str) -> bool {
    SUPPORTED.split_whitespace().any(|known| known == code)
}

/// The least amount Stripe charges, where it differs from "any" (docs.stripe.com/currencies#minimum-and-maximum).
#[must_use]
pub fn minimum(code: &str) -> u64 {
    match code {
        "eur" | "usd" | "chf" | "cad" | "aud" | "brl" | "inr" | "nzd" | "sgd" | "jpy" => 50,
        "gbp" => 30,
        "dkk" => 250,
        "nok" | "sek" => 300,
        _ => 1,
    }
}

/// The amount as a person reads it.
#[must_use]
pub fn display(amount: u64, code: &str) -> String {
    let number = if ZERO_DECIMAL.split_whitespace().any(|known| known == code) {
        amount.to_string()
    } else {
        format!("{}.{:02}", amount / 100, amount % 100)
    };
    match code {
        "eur" => format!("€{number}"),
        "usd" => format!("${number}"),
        "gbp" => format!("£{number}"),
        "jpy" => format!("¥{number}"),
        other => format!("{} {number}", other.to_uppercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_money() {
        assert_eq!(display(4900, "eur"), "€49.00");
        assert_eq!(display(500, "jpy"), "¥500");
        assert_eq!(display(5, "chf"), "CHF 0.05");
    }

    #[test]
    fn only_real_currencies_are_supported() {
        assert!(is_supported("eur"));
        assert!(!is_supported("xyz") && !is_supported("") && !is_supported("EUR"));
    }
}
