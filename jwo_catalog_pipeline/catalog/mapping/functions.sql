-- The functions that the project adds to DuckDB's SQL: for field mappings, and for the rules of barcodes and texts.
-- This is the only place that knows the GS1 and ISBN rules (GS1 General Specifications, sections 7.9 and 5.2; ISO 2108).
-- Each macro binds its argument once, as `list_transform([x], lambda v: ...)[1]`: DuckDB pastes a macro's argument
-- wherever it is named, so nested calls would otherwise grow exponentially.
-- Names that begin with an underscore are helpers and are closed to mappings.
-- Is the last digit the check digit of the others? n: the whole code as a number; leading zeros do not count.
-- GS1: weights 3 and 1 from the right, beginning with 3 beside the check digit.
CREATE MACRO _gs1_right(n) AS list_transform([n], lambda v: (
      v % 10 + v // 100 % 10 + v // 10000 % 10 + v // 1000000 % 10
    + v // 100000000 % 10 + v // 10000000000 % 10 + v // 1000000000000 % 10
    + 3 * (v // 10 % 10 + v // 1000 % 10 + v // 100000 % 10 + v // 10000000 % 10
    + v // 1000000000 % 10 + v // 100000000000 % 10 + v // 10000000000000 % 10)) % 10 = 0)[1];

-- The 12 digits that the 8 of a UPC-E stand for; NULL where it begins with neither 0 nor 1 (GS1 5.2.2.4.2).
CREATE MACRO _upce_expanded(code) AS list_transform([code], lambda c: CASE
    WHEN NOT regexp_full_match(c, '[01][0-9]{7}') THEN NULL
    WHEN c[7] <= '2' THEN c[:3] || c[7] || '0000' || c[4:6] || c[8]
    WHEN c[7] = '3' THEN c[:4] || '00000' || c[5:6] || c[8]
    WHEN c[7] = '4' THEN c[:5] || '00000' || c[6] || c[8]
    ELSE c[:6] || '0000' || c[7:8] END)[1];

CREATE MACRO _upce_right(code) AS coalesce(_gs1_right(TRY_CAST(_upce_expanded(code) AS BIGINT)), false);

-- ISBN-10: weights 10 to 1, the sum divisible by 11; the last place may be X for ten.
CREATE MACRO _isbn_right(code) AS list_transform([code], lambda c: CASE
    WHEN NOT regexp_full_match(c, '[0-9]{9}[0-9X]') THEN false
    ELSE list_transform([c[:9]::BIGINT], lambda v:
        2 * (v % 10) + 3 * (v // 10 % 10) + 4 * (v // 100 % 10) + 5 * (v // 1000 % 10) + 6 * (v // 10000 % 10)
        + 7 * (v // 100000 % 10) + 8 * (v // 1000000 % 10) + 9 * (v // 10000000 % 10) + 10 * (v // 100000000 % 10)
        + CASE WHEN c[10] = 'X' THEN 10 ELSE c[10]::BIGINT END)[1] % 11 = 0 END)[1];

-- Is the check digit right? NULL where the code has none that is known. An 11-digit code is a UPC without its check
-- digit or its first zero: wrong. An 8-digit code may be an EAN8 or a UPC-E: its type decides, or else either will do.
CREATE MACRO _check_digit_right(code, declared) AS list_transform([{'c': code::VARCHAR, 't': declared::VARCHAR}], lambda p:
    CASE WHEN regexp_full_match(p.c, '[0-9]{12,14}') THEN _gs1_right(p.c::BIGINT)
         WHEN regexp_full_match(p.c, '[0-9]{11}') THEN false
         WHEN regexp_full_match(p.c, '[0-9]{8}') THEN
              (p.t IS DISTINCT FROM 'UPC' AND _gs1_right(p.c::BIGINT)) OR (p.t IS DISTINCT FROM 'EAN8' AND _upce_right(p.c))
         WHEN regexp_full_match(p.c, '[0-9]{9}X') OR (p.t = 'ISBN' AND regexp_full_match(p.c, '[0-9]{10}')) THEN _isbn_right(p.c)
         END)[1];

-- The type that a code has by its length and check digit; NULL where it is none (CATALOG_API.md, "Barcodes").
CREATE MACRO barcode_type(x) AS list_transform([x::VARCHAR], lambda c: CASE
    WHEN regexp_full_match(c, '[0-9]{8}|[0-9]{12,14}') THEN CASE
        WHEN _gs1_right(c::BIGINT) THEN CASE length(c) WHEN 8 THEN 'EAN8' WHEN 12 THEN 'UPC' WHEN 13 THEN 'EAN' ELSE 'GTIN' END
        WHEN _upce_right(c) THEN 'UPC' END
    WHEN regexp_full_match(c, '[0-9]{3,6}') THEN 'PLU'
    WHEN _isbn_right(c) THEN 'ISBN' END)[1];

-- Does the code have the length and form of the type? NULL where the type is unknown.
CREATE MACRO _fits_type(code, declared) AS list_transform([{'c': code, 't': declared}], lambda p: CASE p.t
    WHEN 'UPC' THEN regexp_full_match(p.c, '[0-9]{12}|[01][0-9]{7}') WHEN 'EAN' THEN regexp_full_match(p.c, '[0-9]{13}')
    WHEN 'EAN8' THEN regexp_full_match(p.c, '[0-9]{8}') WHEN 'ISBN' THEN regexp_full_match(p.c, '[0-9]{9}[0-9X]')
    WHEN 'GTIN' THEN regexp_full_match(p.c, '[0-9]{14}') WHEN 'PLU' THEN regexp_full_match(p.c, '[0-9]{3,6}') END)[1];

-- Has the code the form of any known type, right check digit or not?
CREATE MACRO _known_form(code) AS list_transform([code], lambda c:
    regexp_full_match(c, '[0-9]{3,6}|[0-9]{8}|[0-9]{11,14}|[0-9]{9}X') OR _isbn_right(c))[1];

-- Is an 8-digit code right both as EAN8 and as UPC-E?
CREATE MACRO _ambiguous(code) AS list_transform([code], lambda c:
    regexp_full_match(c, '[01][0-9]{7}') AND _gs1_right(TRY_CAST(c AS BIGINT)) AND _upce_right(c))[1];

-- What keeps a text from being a barcode: 1 it is not one code of digits, 2 a spreadsheet rounded it, 3 it stands for
-- none; 0 nothing. Excel writes a long number with six digits, 4.00638E+12, and once saved it is 4006380000000.
CREATE MACRO _barcode_fault(code) AS list_transform([trim(code, chr(32) || chr(9) || chr(10) || chr(13) || chr(160))], lambda c: CASE
    WHEN c IS NULL THEN 0
    WHEN regexp_full_match(c, '[0-9]{6,8}0{6}') AND NOT regexp_full_match(c, '0+') THEN 2
    WHEN c <> '' AND regexp_full_match(c, '[0-9]+') AND rtrim(c, c[1]) = '' THEN 3
    WHEN regexp_full_match(code, '|[0-9]+|[0-9]{9}X') THEN 0
    WHEN regexp_full_match(c, '[0-9]+([.,][0-9]+)?[eE]\+?[0-9]+') THEN 2
    WHEN regexp_full_match(c, '[^\pL\pN]+|(?i:[^\pL\pN]*(?:[0.]+|x+|n[./ ]?a\.?|n[./ ]?v[./ ]?t\.?|k\.?a\.?|none|null|nil|nan|nul|no|not?'
        || ' (?:available|applicable|assigned|known|set)|tb[acd]|undefined|unknown|unbekannt|missing|empty|leer|blank|pending|void|false'
        || '|(?:no|kein|keine|ohne|sin|sans|senza|sem|geen|pas de|without) ?(?:ean|upc|gtin|plu|barcode|bar ?code|strichcode|c[oó]digo'
        || '|code(?: barres)?|codice)?|aucune?|vide|ningun[oa]?|vac[ií]o|n[aã]o|nenhum|nessun[oa]|leeg|ingen|ingenting|inget|brak|yok|hiányzik'
        || '|нет|немає|няма|ללא|אין|لا يوجد|無|无|なし|없음)[^\pL\pN]*)') THEN 3
    ELSE 1 END)[1];

-- The number of a code, the same however it is written: UPC, EAN and GTIN, a UPC-E and its UPC, an ISBN-10 and its EAN
-- (but for the last digit). What has no check digit stands for itself: a negative number.
CREATE MACRO _code_number(code, declared) AS list_transform([{'c': code, 't': declared}], lambda p: CASE
    WHEN regexp_full_match(p.c, '[0-9]{8}') THEN CASE
        WHEN p.t IS DISTINCT FROM 'EAN8' AND _upce_right(p.c) AND (p.t = 'UPC' OR NOT _gs1_right(p.c::BIGINT))
        THEN _upce_expanded(p.c)::BIGINT ELSE p.c::BIGINT END
    WHEN regexp_full_match(p.c, '[0-9]{12,14}') THEN p.c::BIGINT
    WHEN _isbn_right(p.c) THEN 9780000000000 + p.c[:9]::BIGINT * 10
    ELSE -1 - (hash(p.c) >> 2)::BIGINT END)[1];

-- All of the above about one code, NULL where a question does not apply. 12 to 14 digits, which most codes have, are
-- looked at once; the fault of these is left to arithmetic over all of them.
CREATE MACRO _barcode_facts(code, declared) AS list_transform([{'c': code::VARCHAR, 't': declared::VARCHAR}], lambda p:
    CASE WHEN regexp_full_match(p.c, '[0-9]{12,14}')
         THEN {'fits': CASE p.t WHEN 'UPC' THEN strlen(p.c) = 12 WHEN 'EAN' THEN strlen(p.c) = 13
                                WHEN 'GTIN' THEN strlen(p.c) = 14 ELSE p.t IS NULL END,
               'right': _gs1_right(p.c::BIGINT), 'known': true, 'ambiguous': false,
               'fault': -1, 'number': p.c::BIGINT}
         ELSE {'fits': _fits_type(p.c, p.t), 'right': _check_digit_right(p.c, p.t),
               'known': _known_form(p.c) OR _barcode_fault(p.c) > 0, 'ambiguous': _ambiguous(p.c),
               'fault': _barcode_fault(p.c), 'number': _code_number(p.c, p.t)} END)[1];

-- Digits of other scripts (Arabic, Persian, full width, Devanagari) as ASCII ones.
CREATE MACRO _ascii_digits(x) AS translate(x, '٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹０１２３４５６７８９०१२३४५६७८९', repeat('0123456789', 4));

-- The digits that a spreadsheet's 4.006381333931E+12 stands for; NULL where it shows fewer than the number has, for then
-- it was rounded. One digit may lack if `checked`: a last 0 that is not written, where it is a right check digit.
CREATE MACRO _unrounded(x, checked) AS list_transform(
    [regexp_extract(x, '^([1-9])[.,]([0-9]+)[Ee]\+?0*([1-9][0-9]?)$', ['first', 'rest', 'places'])], lambda p:
    list_transform([{'digits': p.first || p.rest, 'n': TRY_CAST(p.places AS INTEGER) + 1}], lambda q: CASE
        WHEN q.n NOT BETWEEN 7 AND 18 THEN NULL
        WHEN length(q.digits) >= q.n AND regexp_full_match(q.digits[q.n + 1:], '0*') THEN q.digits[:q.n]
        WHEN checked AND q.n <= 14 AND length(q.digits) = q.n - 1 AND _gs1_right((q.digits || '0')::BIGINT)
            THEN q.digits || '0' END)[1])[1];

-- A whole number without the `.0` that a spreadsheet or a float gave it. `4.000` may be four thousand, and stays.
CREATE MACRO _whole(x) AS CASE
    WHEN regexp_full_match(x, '[0-9]+[.,]0+') AND NOT regexp_full_match(x, '[0-9]{1,3}[.,]000') THEN regexp_extract(x, '^[0-9]+') END;

-- Undoes the signs that keep a spreadsheet from taking text for a number: ="0123", '0123, "0123".
CREATE MACRO _unprotected(x) AS list_transform([x], lambda v: CASE
    WHEN regexp_full_match(v, '\s*=?\s*["“”][^"“”]*["“”]\s*') THEN regexp_extract(v, '["“”]([^"“”]*)["“”]', 1)
    WHEN regexp_full_match(v, '(?s)\s*="(?:[^"]|"")*"\s*') THEN replace(regexp_extract(v, '(?s)"(.*)"', 1), '""', '"')
    WHEN regexp_matches(v, '^\s*[''‘’`]') THEN regexp_extract(v, '(?s)^\s*[''‘’`](.*?)[''‘’`]?$', 1)
    ELSE v END)[1];

-- Digits with the leading zeros that they have lost.
CREATE MACRO _padded(code) AS list_transform([code], lambda c: CASE
    WHEN NOT regexp_full_match(c, '[0-9]{7,11}') THEN c
    WHEN length(c) <= 8 THEN
        CASE WHEN _gs1_right(c::BIGINT) OR _upce_right(lpad(c, 8, '0')) THEN lpad(c, 8, '0') ELSE c END
    WHEN _isbn_right(c) OR NOT _gs1_right(c::BIGINT) THEN c
    ELSE lpad(c, 12, '0') END)[1];

-- A code without separators and what a spreadsheet did to it. A line break stands between two codes: no separator.
CREATE MACRO _bare_code(x) AS list_transform([regexp_replace(x, '^[\s\p{Z}\p{Cf}\p{Cc}]+|[\s\p{Z}\p{Cf}\p{Cc}]+$', '', 'g')], lambda s:
    list_transform([_unprotected(_ascii_digits(regexp_replace(s, '[ \t\p{Z}\p{Cf}\x00-\x08]', '', 'g')))], lambda u:
    list_transform([upper(regexp_replace(coalesce(_unrounded(u, true), _whole(u), u), '^=|\p{Pd}', '', 'g'))], lambda c: CASE
        WHEN s = '' THEN NULL
        WHEN regexp_full_match(c, '[0-9]{1,14}|[0-9]{9}X') THEN c
        ELSE x END)[1])[1])[1];

-- Removes separators and invisible characters, undoes what spreadsheets do, and puts back lost leading zeros, up to the
-- shortest length (8, 12, 13, 14) with a right check digit. Up to 6 digits (perhaps a PLU), a valid ISBN-10 and
-- whatever fits no length are left alone.
-- The first branch, here and below, is a quick way out for what needs nothing done.
CREATE MACRO restore_barcode(x) AS list_transform([x::VARCHAR], lambda v: CASE
    WHEN regexp_full_match(v, '[0-9]{12,14}') THEN v
    ELSE _padded(CASE WHEN regexp_full_match(v, '[0-9]*') THEN nullif(v, '') ELSE _bare_code(v) END) END)[1];

-- Undoes in other text what spreadsheets do: ="0123", '0123, 123.0, 1.23456789E+8 where no digit is lost.
CREATE MACRO unquote(x) AS list_transform([x::VARCHAR], lambda v: CASE
    WHEN regexp_full_match(v, '[\pL_-][^"“”''‘’`]*|[0-9]+') THEN v
    ELSE list_transform([_unprotected(v)], lambda u: nullif(coalesce(_whole(u), _unrounded(u, false), u), ''))[1] END)[1];

-- Currencies as shops write them. Not the codes that are also words (ALL, CUP, TOP), and no sign for cents.
CREATE MACRO _currency() AS '(?:(?i:'
    || 'AED|AFN|AMD|ANG|AOA|ARS|AUD|AWG|AZN|BAM|BBD|BDT|BGN|BHD|BIF|BMD|BND|BOB|BRL|BSD|BTN|BWP|BYN|BZD|CAD|CDF|CHF|CLP|CNY|COP|CRC|CVE|CZK|DJF|DKK|DOP|DZD|EGP|ERN|ETB|EUR|FJD'
    || '|FKP|GBP|GEL|GHS|GIP|GMD|GNF|GTQ|GYD|HKD|HNL|HRK|HTG|HUF|IDR|ILS|INR|IQD|IRR|ISK|JMD|JOD|JPY|KES|KGS|KHR|KMF|KPW|KRW|KWD|KYD|KZT|LAK|LBP|LKR|LRD|LSL|LYD|MAD|MDL|MGA|MKD'
    || '|MMK|MNT|MOP|MRU|MUR|MVR|MWK|MXN|MYR|MZN|NAD|NGN|NIO|NOK|NPR|NZD|OMR|PAB|PEN|PGK|PHP|PKR|PLN|PYG|QAR|RON|RSD|RUB|RWF|SAR|SBD|SCR|SDG|SEK|SGD|SHP|SLE|SOS|SRD|SSP|STN|SVC'
    || '|SYP|SZL|THB|TJS|TMT|TND|TRY|TTD|TWD|TZS|UAH|UGX|USD|UYU|UZS|VES|VND|VUV|WST|XAF|XCD|XOF|XPF|YER|ZAR|ZMW'
    || '|kr|kč|zł|s?fr|euros?|lei|din|rm|rp|rs|nis|tl|kn|dhs?|лв|руб|грн|дин|ש["״]?ח)\.?'
    || '|(?:[A-Z]{1,2})?[$£¤¥֏؋৲৳฿៛₠-₤₦-⃀﷼﹩＄￡￥￦]|Ft|S/\.?|р\.|円|元|圓|원|บาท|đ)';

-- A price in its parts: what stands before the number, the number, what stands behind it. No parts where it is no price.
CREATE MACRO _price_parts(x) AS list_transform([CASE WHEN regexp_full_match(x, '[\x20\x21\x23-\x26\x28-\x7E]*') THEN trim(x)
    ELSE trim(regexp_replace(regexp_replace(translate(_ascii_digits(_unprotected(x)), '٫٬‘’ʼ´`', '.' || repeat('''', 6)),
        '\p{Cf}', '', 'g'), '[\s\p{Z}]+', ' ', 'g')) END], lambda t:
    regexp_extract(t, '^([^0-9]*)([0-9](?:[0-9.,'' ]*[0-9])?)([^0-9]*)$', ['before', 'number', 'behind']))[1];

-- Spaces and apostrophes out of a number where they stand between thousands.
CREATE MACRO _grouped(number) AS list_transform([number], lambda n: CASE
    WHEN regexp_full_match(n, '[1-9][0-9]{0,2}(?:(?: [0-9]{3})+|(?:''[0-9]{3})+)(?:[.,][0-9]+)?')
        THEN replace(regexp_replace(n, '[ '']', '', 'g'), ',', '.')
    WHEN regexp_full_match(n, '[0-9]+') OR NOT regexp_matches(n, '[ '']') THEN n END)[1];

-- A number in text without currency and white space: digits, points, commas; `5,-`, `5:-` and `9.` have their zeros.
-- NULL where there is anything else: cents, a unit, a second number, a sign, a word.
CREATE MACRO _number(x) AS list_transform([_price_parts(x::VARCHAR)], lambda p: CASE
    WHEN p.before <> '' AND NOT regexp_full_match(p.before, '(?:' || _currency() || ' ?){0,2}[.,]?|R ?') THEN NULL
    WHEN p.behind = '' THEN regexp_extract(p.before, '[.,]$') || _grouped(p.number)
    WHEN NOT regexp_full_match(p.behind, '(?:[.,:/][\p{Pd}=]{0,2})?(?: ?' || _currency() || '){0,2}') THEN NULL
    WHEN NOT regexp_matches(p.behind, '^.[\p{Pd}=]')
        AND (p.behind[1] IN (':', '/') OR (p.behind[1] IN ('.', ',') AND regexp_matches(p.number, '[.,]'))) THEN NULL
    WHEN p.behind[1] NOT IN ('.', ',', ':', '/') THEN regexp_extract(p.before, '[.,]$') || _grouped(p.number)
    WHEN regexp_matches(p.before, '[.,]$') AND NOT regexp_matches(p.before, '[[:alpha:]]\.$') THEN NULL
    ELSE _grouped(p.number || CASE WHEN p.behind[1] = ',' OR (p.behind[1] IN (':', '/')
        AND regexp_matches(p.number, '\.[0-9]{3}$')) THEN ',' ELSE '.' END || '00') END)[1];

-- Two places, no needless zeros: from `012` and `5` to `12.50`. NULL where the fraction does not fit in two places.
CREATE MACRO _two_places(whole, fraction) AS
    CASE WHEN regexp_full_match(fraction, '[0-9]{0,2}0*')
         THEN regexp_replace(whole, '^0+([0-9])', '\1') || '.' || rpad(left(fraction, 2), 2, '0') END;

-- `1,299` or `1.299`: it may be about one or a thousand.
CREATE MACRO _ambiguous_number(n) AS regexp_full_match(n, '[1-9][0-9]{0,2}[.,][0-9]{3}');

-- What a _number says if there is only one way to read it, as decimal text with two places; else NULL.
CREATE MACRO _decimal(number) AS list_transform([number], lambda n: CASE
    WHEN regexp_full_match(n, '[0-9]+') THEN _two_places(n, '')
    WHEN _ambiguous_number(n) THEN NULL
    WHEN regexp_full_match(n, '[0-9]*[.,][0-9]+')
        THEN _two_places(regexp_extract('0' || n, '^[0-9]+'), regexp_extract(n, '[0-9]+$'))
    WHEN regexp_full_match(n, '[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?|[1-9][0-9]?(,[0-9]{2})+,[0-9]{3}(\.[0-9]+)?')
        THEN _two_places(replace(split_part(n, '.', 1), ',', ''), split_part(n, '.', 2))
    WHEN regexp_full_match(n, '[1-9][0-9]{0,2}(\.[0-9]{3})+(,[0-9]+)?')
        THEN _two_places(replace(split_part(n, ',', 1), '.', ''), split_part(n, ',', 2)) END)[1];

-- A price as decimal text with two places. What cannot be read unambiguously comes back as it was, so that the rules
-- report it. The second form names the decimal separator, '.' or ',', which settles `1.299`; what contradicts it, such
-- as `1,299.00` where ',' is named, comes back as it was too.
CREATE MACRO price(x) AS list_transform([x::VARCHAR], lambda v: CASE
        WHEN regexp_full_match(v, '(0|[1-9][0-9]*)\.[0-9]{2}') THEN v
        ELSE coalesce(_decimal(CASE WHEN regexp_full_match(v, '[0-9.,]*[0-9]') THEN v ELSE _number(v) END),
            nullif(v, '')) END)[1],
    (x, sep) AS list_transform([_number(x)], lambda n: coalesce(CASE
        WHEN _ambiguous_number(n) AND contains(n, sep) THEN _two_places(split_part(n, sep, 1), split_part(n, sep, 2))
        WHEN _ambiguous_number(n) AND sep IN ('.', ',') THEN _two_places(regexp_replace(n, '[.,]', ''), '')
        WHEN CASE sep WHEN ',' THEN regexp_matches(n, ',.*[.,]') ELSE regexp_matches(n, '\..*[.,]') END THEN NULL
        ELSE _decimal(n) END, nullif(x::VARCHAR, '')))[1];

-- Trims, makes one space of all white space, drops control and invisible characters: marks of text direction,
-- spaces of no width, byte order marks. The joiners U+200C and U+200D stay, for some scripts write with them.
CREATE MACRO clean(x) AS list_transform([x::VARCHAR], lambda s: CASE
    WHEN regexp_full_match(s, '[\x21-\x7E]+(?: [\x21-\x7E]+)*') THEN s
    ELSE nullif(trim(regexp_replace(regexp_replace(s,
    '[\x00-\x08\x0E-\x1F\x7F-\x{84}\x{86}-\x{9F}\x{61C}\x{200B}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}\x{2066}-\x{2069}\x{FEFF}]',
    '', 'g'), '[\s\x0B\x{85}\p{Z}]+', ' ', 'g')), '') END)[1];

-- The names of HTML 4's entities, and beside them what they stand for. White space and invisible characters are in _entity.
CREATE MACRO _entity_names() AS string_split(
    'AElig Aacute Acirc Agrave Alpha Aring Atilde Auml Beta Ccedil Chi Dagger Delta ETH Eacute Ecirc Egrave Epsilon Eta Euml Gamma Iacute Icirc Igrave Iota Iuml Kappa Lambda'
    || ' Mu Ntilde Nu OElig Oacute Ocirc Ograve Omega Omicron Oslash Otilde Ouml Phi Pi Prime Psi Rho Scaron Sigma THORN Tau Theta Uacute Ucirc Ugrave Upsilon Uuml Xi Yacute Yuml'
    || ' Zeta aacute acirc acute aelig agrave alefsym alpha amp and ang aring asymp atilde auml bdquo beta brvbar bull cap ccedil cedil cent chi circ clubs cong copy crarr cup'
    || ' curren dArr dagger darr deg delta diams divide eacute ecirc egrave empty epsilon equiv eta eth euml euro exist fnof forall frac12 frac14 frac34 frasl gamma ge gt hArr'
    || ' harr hearts hellip iacute icirc iexcl igrave image infin int iota iquest isin iuml kappa lArr lambda lang laquo larr lceil ldquo le lfloor lowast loz lsaquo lsquo lt'
    || ' macr mdash micro middot minus mu nabla ndash ne ni not notin nsub ntilde nu oacute ocirc oelig ograve oline omega omicron oplus or ordf ordm oslash otilde otimes ouml'
    || ' para part permil perp phi pi piv plusmn pound prime prod prop psi quot rArr radic rang raquo rarr rceil rdquo real reg rfloor rho rsaquo rsquo sbquo scaron sdot sect'
    || ' sigma sigmaf sim spades sub sube sum sup sup1 sup2 sup3 supe szlig tau there4 theta thetasym thorn tilde times trade uArr uacute uarr ucirc ugrave uml upsih upsilon uuml'
    || ' weierp xi yacute yen yuml zeta apos', ' ');
CREATE MACRO _entity_signs() AS
    'ÆÁÂÀΑÅÃÄΒÇΧ‡ΔÐÉÊÈΕΗËΓÍÎÌΙÏΚΛΜÑΝŒÓÔÒΩΟØÕÖΦΠ″ΨΡŠΣÞΤΘÚÛÙΥÜΞÝŸΖáâ´æàℵα&∧∠å≈ãä„β¦•∩ç¸¢χˆ♣≅©↵∪¤⇓†↓°δ♦÷éêè∅'
    || 'ε≡ηðë€∃ƒ∀½¼¾⁄γ≥>⇔↔♥…íî¡ìℑ∞∫ι¿∈ïκ⇐λ⟨«←⌈“≤⌊∗◊‹‘<¯—µ·−μ∇–≠∋¬∉⊄ñνóôœò‾ωο⊕∨ªºøõ⊗ö¶∂‰⊥φπϖ±£′∏∝ψ"⇒√⟩»→⌉”ℜ®⌋'
    || 'ρ›’‚š⋅§σς∼♠⊂⊆∑⊃¹²³⊇ßτ∴θϑþ˜×™⇑ú↑ûù¨ϒυü℘ξý¥ÿζ''';

-- The character of a number in HTML; 128 to 159 are meant as Windows-1252. NULL where there is none.
CREATE MACRO _numbered(number) AS list_transform([number], lambda n: CASE
    WHEN n BETWEEN 128 AND 159 THEN trim('€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ'[n - 127])
    WHEN n < 32 OR n IN (127, 173) THEN CASE WHEN n IN (9, 10, 13) THEN ' ' ELSE '' END
    WHEN n = 160 THEN ' '
    WHEN n BETWEEN 55296 AND 57343 OR n > 1114111 THEN NULL
    ELSE chr(n) END)[1];

-- What stands for an entity, without its & and ;. NULL where it is none.
CREATE MACRO _entity(name) AS list_transform([name], lambda e: CASE
    WHEN regexp_full_match(e, '#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}') THEN _numbered(TRY_CAST(replace(lower(e), '#x', '#0x')[2:] AS INTEGER))
    WHEN e IN ('nbsp', 'ensp', 'emsp', 'thinsp', 'NBSP') THEN ' '
    WHEN e IN ('shy', 'zwnj', 'zwj', 'lrm', 'rlm') THEN ''
    ELSE coalesce(_entity_signs()[list_position(_entity_names(), e)],
        CASE WHEN e IN ('AMP', 'LT', 'GT', 'QUOT', 'COPY', 'REG') THEN _entity_signs()[list_position(_entity_names(), lower(e))] END)
    END)[1];

CREATE MACRO _without_entities(x) AS array_to_string(list_transform(
    regexp_extract_all(regexp_replace(x, '&(?:amp;)+(#?[0-9A-Za-z]+;)', '&\1', 'g'), '&#?[0-9A-Za-z]{1,9};|[^&]+|&'), lambda t:
    CASE WHEN starts_with(t, '&') AND ends_with(t, ';') THEN coalesce(_entity(t[2:-2]), t) ELSE t END), '');

CREATE MACRO _attributes() AS '(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|''[^'']*''|[^\s"''<>]+))*\s*/?>';

-- A tag is a known name, and attributes with values: `a < b`, `<3` and `<Brand>` are none.
CREATE MACRO _without_tags(x) AS regexp_replace(regexp_replace(regexp_replace(x,
    '(?is)<(script|style)\b[^>]*>.*?</(?:script|style)\s*>|<!--.*?-->|<!\[CDATA\[|\]\]>|<!doctype[^>]*>', '', 'g'),
    '(?i)</?(?:br|hr|p|div|li|ul|ol|dl|dt|dd|h[1-6]|tr|td|th|table|tbody|thead|section|article|blockquote|pre)' || _attributes(),
    ' ', 'g'),
    '(?i)</?(?:html|body|head|meta|link|a|abbr|b|big|center|cite|code|del|em|font|i|img|ins|kbd|label|mark|o:p|q|s|small|span'
    || '|strike|strong|sub|sup|tt|u|var|wbr|iframe|video|button|form|input)' || _attributes(), '', 'g');

-- Without entities and tags, and without the tags that entities hid.
CREATE MACRO _unmarked(x) AS list_transform([x], lambda s: CASE
    WHEN contains(s, '&') THEN list_transform([_without_entities(CASE WHEN contains(s, '<') THEN _without_tags(s) ELSE s END)],
        lambda e: CASE WHEN contains(e, '<') THEN _without_tags(e) ELSE e END)[1]
    WHEN contains(s, '<') THEN _without_tags(s) ELSE s END)[1];

-- Plain text from HTML: entities as the characters that they stand for, tags out.
CREATE MACRO plain(x) AS list_transform([x::VARCHAR], lambda s: CASE
    WHEN contains(s, '&') OR contains(s, '<')
        THEN list_transform([_unmarked(s)], lambda u: CASE WHEN u = s THEN s ELSE clean(u) END)[1]
    ELSE nullif(s, '') END)[1];

-- Plain ASCII: accents off, letters and signs that have a usual spelling replaced, decoration dropped. A text that would
-- lose a letter, a number or a currency stays as it is.
-- Stands in front of DuckDB's own ascii(), which gives the code point of the first character.
CREATE MACRO ascii(x) AS list_transform([x::VARCHAR], lambda s: CASE
    WHEN regexp_full_match(s, '[\x20-\x7E]*') THEN nullif(trim(s), '')
    ELSE list_transform([translate(strip_accents(_ascii_digits(
        replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(s, chr(0), ''),
        'ß', 'ss'), 'ẞ', 'SS'), 'æ', 'ae'), 'Æ', 'AE'), 'œ', 'oe'), 'Œ', 'OE'), 'þ', 'th'), 'Þ', 'Th'), '№', 'No'),
        '€', 'EUR'), '£', 'GBP'), '…', '...'), '™', ''), '½', '1/2'), '¼', '1/4'), '¾', '3/4'))),
        'øØłŁđĐðÐħĦıŧŦŋŊªºµ²³¹‘’‚ʼ“”„«»–—−‐‑×· ' || chr(9) || chr(10) || chr(13),
        'oOlLdDdDhHitTnNaou231' || repeat('''', 4) || '"""""-----x-    ')],
        lambda t: CASE WHEN regexp_matches(t, '[^\x00-\x7F]') AND regexp_matches(regexp_replace(t, '[\x00-\x7F]', '', 'g'),
            '[\pL\pN\p{Sc}]') THEN trim(s)
        ELSE coalesce(nullif(trim(regexp_replace(t, '[^\x20-\x7E]', '', 'g')), ''), nullif(trim(s), '')) END)[1] END)[1];
