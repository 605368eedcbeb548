"""Secrets and personal data of our own making, in the forms that rules describe. None of them is anybody's."""

from __future__ import annotations

import base64

__all__ = ["EXAMPLES", "PERSONAL", "SECRETS"]

_CORE = "9f8Zq3vK7rWm2TxLp6YdB4nH1cJ5sG0aQeUi"
_JWT = ".".join(
    base64.urlsafe_b64encode(part).rstrip(b"=").decode()
    for part in (b'{"alg":"none","typ":"JWT"}', b'{"sub":"nobody","iat":1700000000}', b"signature-of-nobody")
)
_PEM = f"-----BEGIN RSA {'PRIVATE'} KEY-----\n{_CORE}\n{_CORE[::-1]}\n-----END RSA {'PRIVATE'} KEY-----"

SECRETS: list[tuple[str, str, str]] = [
    ("private_key", _PEM, _CORE),
    ("aws_access_key", f"id {'AKIA'}IOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"),
    ("aws_secret_key", f"aws_secret_access_key = {_CORE}wxyz", f"{_CORE}wxyz"),
    ("bedrock_key", f"ABSK{_CORE}", _CORE),
    ("google_key", f"key=AIza{_CORE[:35]}", _CORE[:35]),
    ("github_token", f"ghp_{_CORE}", _CORE),
    ("gitlab_token", f"glpat-{_CORE[:20]}", _CORE[:20]),
    ("slack_token", f"xoxb-123456789012-{_CORE}", _CORE),
    ("slack_token", f"https://hooks.slack.com/services/T0/B0/{_CORE}", _CORE),
    ("stripe_key", f"sk_live_{_CORE}", _CORE),
    ("anthropic_key", f"sk-ant-api03-{_CORE}", _CORE),
    ("openai_key", f"sk-proj-{_CORE}", _CORE),
    ("provider_key", f"gsk_{_CORE}", _CORE),
    ("service_token", f"npm_{_CORE}", _CORE),
    ("jwt", f"cookie {_JWT}", _JWT),
    ("authorization", f"-H 'Authorization: Bearer {_CORE}'", _CORE),
    ("authorization", f"Authorization: Basic {_CORE}", _CORE),
    ("curl_user", "curl -s -u 'app:hunter2xyz' https://api.example.com", "hunter2xyz"),
    ("command_password", "deploy --db-password hunter2xyz --verbose", "hunter2xyz"),
    ("command_password", "mysql -h db.internal -u root -phunter2xyz shop", "hunter2xyz"),
    ("command_password", "echo x | sshpass -p 'hunter2xyz' ssh host", "hunter2xyz"),
    ("command_password", "docker login -u app -p hunter2xyz registry.example.com", "hunter2xyz"),
    ("command_password", "redis-cli -h db -a hunter2xyz ping", "hunter2xyz"),
    ("password_entry", "machine github.com login ann password hunter2xyz", "hunter2xyz"),
    ("password_entry", "<server><password>hunter2xyz</password></server>", "hunter2xyz"),
    ("signature", f"https://x.blob.core.windows.net/b?sv=2022&sig={_CORE}%3D", _CORE),
    ("signature", f"AWS4-HMAC-SHA256 SignedHeaders=host, Signature={_CORE}", _CORE),
    ("cookie", f"-H 'Cookie: sid={_CORE}; theme=dark'", _CORE),
    ("connection_string", "postgresql://app:hunter2xyz@db.internal/app", "hunter2xyz"),
    ("assignment", "export DB_PASSWORD=hunter2xyz", "hunter2xyz"),
    ("assignment", "SMTP_PASS=hunter2xyz", "hunter2xyz"),
    ("assignment", 'password: "correct horse battery"', "correct horse battery"),
    ("assignment", "client_secret='s3cr3t!value'", "s3cr3t!value"),
]
"""Rule, text, and what of the text must go."""

PERSONAL: list[tuple[str, str, str]] = [
    ("email", "write to ann.example+x@mail.example.co.uk today", "ann.example+x@mail.example.co.uk"),
    ("email", "an ann@büro.example.de", "ann@büro.example.de"),
    ("iban", "IBAN DE89 3704 0044 0532 0130 00, please", "3704 0044 0532 0130 00"),
    ("iban", "to GB82WEST12345698765432.", "WEST12345698765432"),
    ("credit_card", "card 4111 1111 1111 1111 until 12/30", "4111 1111 1111 1111"),
    ("credit_card", "3782-822463-10005", "822463"),
    ("us_ssn", "SSN 123-45-6789", "123-45-6789"),
    ("phone", "call +49 (171) 123-4567 now", "171) 123-4567"),
    ("phone", "(415) 555-2671", "555-2671"),
    ("phone", "1-415-555-2671", "415-555-2671"),
]

EXAMPLES = [*SECRETS, *PERSONAL]
