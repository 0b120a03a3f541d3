<?php
// The vectors in, what verify.php says of each out.
require __DIR__ . '/../verify/verify.php';

// A warning of PHP is a fault here.
set_error_handler(fn ($level, $message, $file, $line) => throw new ErrorException($message, 0, $level, $file, $line));

$verify = fn ($case) => verify_callback($case['auth'], $case['secrets'], $case['now']);
$cases = json_decode(stream_get_contents(STDIN), true, flags: JSON_THROW_ON_ERROR)['cases'];
echo json_encode(array_map($verify, $cases), JSON_THROW_ON_ERROR);
