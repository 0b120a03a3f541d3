<?php
// Checks a callback of the marketplace: the request if it is authentic and in time, otherwise null.
//
//     $secrets = [['secret' => getenv('APP_SECRET'), 'until' => null]];
//     $request = verify_callback($_POST['auth'] ?? '', $secrets, time());

const CALLBACK_FIELDS = [
    'Install' => ['shop', 'siteURL', 'api', 'key', 'version'],
    'Update' => ['shop', 'siteURL', 'api', 'version'],
    'Remove' => ['shop'],
];

function verify_callback(string $auth, array $secrets, int $now): ?array
{
    $parts = explode('.', $auth);
    if (count($parts) !== 2) {
        return null;
    }
    [$signature, $json] = array_map('decode_base64url', $parts);
    if ($signature === null || $json === null || !is_signed($signature, $parts[1], $secrets, $now)) {
        return null;
    }
    $request = json_decode($json, true);
    if (!is_array($request) || !is_int($request['expires'] ?? null) || $request['expires'] < $now) {
        return null;
    }
    $fields = CALLBACK_FIELDS[$request['operation'] ?? ''] ?? null;
    return $fields !== null && array_diff($fields, array_keys($request)) === [] ? $request : null;
}

// The signature is over the encoded text, not over the JSON; hash_equals compares in constant time.
function is_signed(string $signature, string $data, array $secrets, int $now): bool
{
    foreach ($secrets as ['secret' => $secret, 'until' => $until]) {
        $is_live = $until === null || $now < $until;
        if ($is_live && hash_equals(hash_hmac('sha256', $data, app_key($secret), true), $signature)) {
            return true;
        }
    }
    return false;
}

// An empty key would take what anyone signs: a missing secret must stop the app.
function app_key(string $secret): string
{
    $key = decode_base64url($secret);
    if ($key === null || strlen($key) < 24) {
        throw new RuntimeException('the app secret is missing or not whole');
    }
    return $key;
}

// PHP's own decoder skips what it does not know and takes plain base64; this one does neither.
function decode_base64url(string $text): ?string
{
    $bytes = base64_decode(strtr($text, '-_', '+/'), true);
    return preg_match('/^[A-Za-z0-9_-]*={0,2}$/D', $text) && $bytes !== false ? $bytes : null;
}
