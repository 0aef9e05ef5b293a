"""What all servers of the front share: types of files, formats, headers to and from applications."""

from __future__ import annotations

TYPES = """
    text/html html htm; text/css css; text/plain txt text log; text/markdown md; text/csv csv; text/xml xml;
    text/javascript js mjs; text/calendar ics; text/vtt vtt; application/json json map;
    application/ld+json jsonld; application/geo+json geojson; application/manifest+json webmanifest;
    application/wasm wasm; application/pdf pdf; application/zip zip; application/gzip gz;
    application/x-tar tar; application/x-7z-compressed 7z; application/rtf rtf; application/rss+xml rss;
    application/atom+xml atom; application/xhtml+xml xhtml; application/epub+zip epub;
    application/vnd.openxmlformats-officedocument.wordprocessingml.document docx;
    application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx;
    application/vnd.openxmlformats-officedocument.presentationml.presentation pptx; image/png png apng;
    image/jpeg jpg jpeg; image/gif gif; image/webp webp; image/avif avif; image/svg+xml svg;
    image/x-icon ico; image/bmp bmp; image/tiff tif tiff; image/jxl jxl; image/heic heic; font/woff woff;
    font/woff2 woff2; font/ttf ttf; font/otf otf; font/collection ttc; audio/mpeg mp3;
    audio/ogg oga ogg opus; audio/wav wav; audio/mp4 m4a; audio/flac flac; audio/aac aac; video/mp4 mp4 m4v;
    video/webm webm; video/ogg ogv; video/quicktime mov; video/mp2t ts;
"""
# text/html is always among them.
TEXT = (
    "text/css text/plain text/markdown text/csv text/xml text/javascript text/calendar text/vtt "
    "application/json application/ld+json application/geo+json application/manifest+json "
    "application/rss+xml application/atom+xml application/xhtml+xml image/svg+xml"
)
# What hides a file (fields.md, section Files): a dot before any part of its path; Python, WSGI scripts and
# databases, with all that editors, compilers and SQLite put beside them. Matched on the decoded path below the
# route's name, whatever its case; a name may have a dot itself. Nothing in it backtracks: a path may be 16 kB long.
HIDDEN = r"~*(?s)^(\S*) \1(?=/).*?(?:/\.|\.(?:py|wsgi|sqlite3))"

HTTP = f"""
default_type application/octet-stream;
types_hash_max_size 4096;
charset_types {TEXT};
gzip_types {TEXT} application/wasm application/rtf font/ttf font/otf image/bmp image/x-icon;
gzip_vary on;
gzip_proxied any;
gzip_min_length 512;
log_not_found off;

server_tokens off;
absolute_redirect off;
recursive_error_pages on;
uninitialized_variable_warn off;
server_names_hash_max_size 16384;
server_names_hash_bucket_size 512;
map_hash_max_size 16384;
map_hash_bucket_size 512;
variables_hash_max_size 4096;
sendfile on;
tcp_nopush on;
keepalive_timeout 75s;
keepalive_requests 10000;
large_client_header_buffers 8 16k;
# Pools of one size with proxy_buffer_size, and the first buffer of a connection within its own pool: the allocator
# of a static nginx (musl's) gives memory back to the kernel, and takes it again, for each request otherwise.
connection_pool_size 2k;
request_pool_size 16k;
# Each application has a limit of its own; a page of Stoa's takes nothing in.
client_max_body_size 0;
client_body_temp_path front/tmp/body;

# Without its query, which often carries what no log should.
map $request_uri $stoa_path {{ default -; "~^(?<stoa_raw_path>[^?]+)" $stoa_raw_path; }}
map $stoa_app $stoa_label {{ default $stoa_app; "" -; }}
log_format stoa '$time_iso8601 $stoa_label $remote_addr $request_method $stoa_path '
                '$status $bytes_sent $request_time $stoa_logged_user';
access_log front/log/%(log)s stoa buffer=32k flush=1s;

# The link in the run directory counts, and what Stoa found safe behind it; below that nginx follows none, at no moment.
# Without a slash at its end, or a directory itself would count as behind a link (ngx_http_index_module: 500).
map $document_root $stoa_root {{
    volatile;
    default /;
    "~^(?<stoa_folder>/*[^/]+(?:/[^/]+){{%(depth)d}})" $stoa_folder;
}}
disable_symlinks on from=$stoa_root;
map "$stoa_prefix $uri" $stoa_file {{ default $uri; "{HIDDEN}" ""; }}
# As the name of a directory has it: nginx knows no other way to write one.
geo $stoa_dollar {{ default "$"; }}
map $request_method $stoa_reading {{ default ""; GET 1; HEAD 1; }}
map $http_accept $stoa_kind {{
    default .html;
    "~*text/html" .html;
    "~*application/(?:[a-z0-9.-]+\\+)?json" .json;
}}
map $status $stoa_retry_after {{ default ""; 429 5; 502 5; 503 5; }}

# The host that chose the server is the one that the application is told: that of an absolute request line,
# if it is one (RFC 9112, section 3.2.2), and an address where HTTP/1.0 says none.
map $http_host $stoa_said_host {{ default $http_host; "" $server_addr:$server_port; }}
map $request $stoa_host {{
    default $stoa_said_host;
    "~*^[A-Z]+ https?://(?<stoa_authority>[^/?# ]+)" $stoa_authority;
}}
map $stoa_host $stoa_port {{ default $stoa_default_port; "~:(?<stoa_given_port>[0-9]+)$" $stoa_given_port; }}
map $stoa_scheme $stoa_default_port {{ default 80; https 443; }}
# An upgrade is one over HTTP/1.1 that its connection asks for too (RFC 9110, section 7.8); most requests ask for none.
map $http_upgrade $stoa_websocket {{ default ""; "~*^websocket$" "$server_protocol $http_connection"; }}
map $stoa_websocket $stoa_upgrade {{
    default "";
    "" "";
    "~*^HTTP/1\\.1 (?:.*[,\\t ])?upgrade(?:[,\\t ].*)?$" websocket;
}}
map $stoa_upgrade $stoa_connection {{ default ""; websocket upgrade; }}

proxy_http_version 1.1;
proxy_redirect off;
proxy_buffer_size 16k;
proxy_buffers 8 16k;
proxy_temp_path front/tmp/proxy;
proxy_headers_hash_max_size 1024;
proxy_headers_hash_bucket_size 128;
proxy_set_header Host $stoa_host;
proxy_set_header Connection $stoa_connection;
proxy_set_header Upgrade $stoa_upgrade;
proxy_set_header X-Forwarded-For $remote_addr;
proxy_set_header X-Forwarded-Proto $stoa_scheme;
proxy_set_header X-Forwarded-Host $stoa_host;
proxy_set_header X-Forwarded-Port $stoa_port;
proxy_set_header X-Real-IP $remote_addr;
proxy_set_header Cookie $stoa_cookie;
proxy_set_header Authorization $stoa_authorization;
proxy_set_header Remote-User $stoa_user;
proxy_set_header Remote-Groups $stoa_groups;
proxy_set_header Stoa-Pass $stoa_pass;
"""
# What some framework somewhere believes, and no client may say. Names with an underscore, which are the
# same to a WSGI application, do not get past nginx (underscores_in_headers).
CLEARED = (
    "Forwarded X-Forwarded X-Forwarded-By X-Forwarded-Prefix X-Forwarded-Path X-Forwarded-Server "
    "X-Forwarded-Scheme X-Forwarded-Protocol X-Forwarded-Ssl X-Forwarded-User X-Forwarded-Email "
    "X-Forwarded-Groups X-Forwarded-Uri X-Forwarded-Preferred-Username X-Forwarded-Access-Token "
    "X-Forwarded-Client-Cert X-Url-Scheme X-Scheme X-Script-Name Script-Name X-Original-URL "
    "X-Original-URI X-Original-Host X-Rewrite-URL X-Host X-Client-IP X-Cluster-Client-IP True-Client-IP "
    "Client-IP Front-End-Https Proxy Remote-Email Remote-Name X-Remote-User "
    "X-Remote-Groups X-Sendfile-Type X-Accel-Mapping"
)
# What a hosted response may not say to the front, or to the browser about the whole origin (design.md, rule
# 8). X-Accel-Buffering counts: the instance sets it on each response of unknown length, and takes the
# application's own away.
APPS = """
proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Charset;
proxy_hide_header X-Accel-Redirect;
proxy_hide_header X-Accel-Expires;
proxy_hide_header X-Accel-Limit-Rate;
proxy_hide_header X-Accel-Charset;
proxy_hide_header X-Accel-Buffering;
proxy_hide_header Service-Worker-Allowed;
proxy_hide_header Clear-Site-Data;
proxy_hide_header Strict-Transport-Security;
proxy_hide_header Alt-Svc;
proxy_hide_header NEL;
proxy_hide_header Report-To;
"""
