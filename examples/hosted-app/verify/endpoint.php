<?php
// A whole installation endpoint: APP_SECRET=… APP_DATA=./shops php -S 127.0.0.1:8090 endpoint.php
require __DIR__ . '/verify.php';

// PHP answers 200 to a fault that it shows, and 200 installs. So: 500, until the shop is saved.
http_response_code(500);

$secrets = [['secret' => getenv('APP_SECRET') ?: '', 'until' => null]];
$auth = $_POST['auth'] ?? null;
$request = verify_callback(is_string($auth) ? $auth : '', $secrets, time());
http_response_code($request === null ? 401 : take_callback($request));

function take_callback(array $request): int
{
    $file = getenv('APP_DATA') . '/' . bin2hex($request['shop']) . '.json';
    $shop = array_diff_key($request, ['operation' => 1, 'expires' => 1]);
    switch ($request['operation']) {
        case 'Install':
            save_shop($file, $shop);
            return 200;
        case 'Update':
            if (!is_file($file)) {
                return 404;
            }
            $known = json_decode(file_get_contents($file), true, flags: JSON_THROW_ON_ERROR);
            save_shop($file, array_replace($known, $shop));
            return 200;
        case 'Remove': // it may come again, when the shop is gone already
            return !is_file($file) || unlink($file) ? 200 : 500;
    }
}

// Whole or not at all: a file beside it, readable by its owner only, that then takes its name.
function save_shop(string $file, array $shop): void
{
    $new = tempnam(dirname($file), 'new');
    $handle = fopen($new, 'w');
    $json = json_encode($shop, JSON_THROW_ON_ERROR);
    $written = $handle && fwrite($handle, $json) === strlen($json) && fsync($handle) && fclose($handle);
    if (!$written || !rename($new, $file)) {
        unlink($new);
        throw new RuntimeException('the shop could not be saved');
    }
}
