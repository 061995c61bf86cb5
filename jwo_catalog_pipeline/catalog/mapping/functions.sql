-- The functions that the project adds to DuckDB's SQL: for field mappings, and for the rules in schema.py.
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

-- All of the above about one code, NULL where a question does not apply. 12 to 14 digits, which most codes have, are
-- looked at once.
CREATE MACRO _barcode_facts(code, declared) AS list_transform([{'c': code::VARCHAR, 't': declared::VARCHAR}], lambda p:
    CASE WHEN regexp_full_match(p.c, '[0-9]{12,14}')
         THEN {'fits': CASE p.t WHEN 'UPC' THEN strlen(p.c) = 12 WHEN 'EAN' THEN strlen(p.c) = 13
                                WHEN 'GTIN' THEN strlen(p.c) = 14 ELSE p.t IS NULL END,
               'right': _gs1_right(p.c::BIGINT), 'known': true, 'ambiguous': false}
         ELSE {'fits': _fits_type(p.c, p.t), 'right': _check_digit_right(p.c, p.t),
               'known': _known_form(p.c), 'ambiguous': _ambiguous(p.c)} END)[1];

CREATE MACRO _restored(x) AS list_transform(
    [upper(regexp_replace(x, '[\s\p{Z}\p{Pd}]', '', 'g'))], lambda c: CASE
        WHEN regexp_full_match(c, '[0-9]{1,6}|[0-9]{13,14}|[0-9]{9}X') THEN c
        WHEN NOT regexp_full_match(c, '[0-9]{7,12}') THEN nullif(x, '')
        WHEN length(c) <= 8 THEN
            CASE WHEN _gs1_right(c::BIGINT) OR _upce_right(lpad(c, 8, '0')) THEN lpad(c, 8, '0') ELSE c END
        WHEN _isbn_right(c) OR NOT _gs1_right(c::BIGINT) THEN c
        ELSE lpad(c, 12, '0') END)[1];

-- Removes separators and puts back lost leading zeros, up to the shortest length (8, 12, 13, 14) with a right check
-- digit. Up to 6 digits (perhaps a PLU), a valid ISBN-10 and whatever fits no length are left alone.
-- The first branch, here and below, is a quick way out for what needs nothing done.
CREATE MACRO restore_barcode(x) AS list_transform([x::VARCHAR], lambda v: CASE
    WHEN regexp_full_match(v, '[0-9]{12,14}') THEN v ELSE _restored(v) END)[1];

-- A number in text without currency and white space: digits, points, commas.
CREATE MACRO _number(x) AS regexp_replace(
    regexp_replace(x::VARCHAR, '^[\s\p{Z}]*(?:\p{Sc}|[A-Z]{3})|(?:\p{Sc}|[A-Z]{3})[\s\p{Z}]*$', '', 'g'),
    '[\s\p{Z}''’]+', '', 'g');

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
    WHEN regexp_full_match(n, '[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?')
        THEN _two_places(replace(split_part(n, '.', 1), ',', ''), split_part(n, '.', 2))
    WHEN regexp_full_match(n, '[1-9][0-9]{0,2}(\.[0-9]{3})+(,[0-9]+)?')
        THEN _two_places(replace(split_part(n, ',', 1), '.', ''), split_part(n, ',', 2)) END)[1];

-- A price as decimal text with two places. What cannot be read unambiguously comes back as it was, so that the rules
-- report it. The second form names the decimal separator, '.' or ',', which settles `1.299`; what contradicts it, such
-- as `1,299.00` where ',' is named, comes back as it was too.
CREATE MACRO price(x) AS list_transform([x::VARCHAR], lambda v: CASE
        WHEN regexp_full_match(v, '(0|[1-9][0-9]*)\.[0-9]{2}') THEN v
        ELSE coalesce(_decimal(_number(v)), nullif(v, '')) END)[1],
    (x, sep) AS list_transform([_number(x)], lambda n: coalesce(CASE
        WHEN _ambiguous_number(n) AND contains(n, sep) THEN _two_places(split_part(n, sep, 1), split_part(n, sep, 2))
        WHEN _ambiguous_number(n) AND sep IN ('.', ',') THEN _two_places(regexp_replace(n, '[.,]', ''), '')
        WHEN CASE sep WHEN ',' THEN regexp_matches(n, ',.*[.,]') ELSE regexp_matches(n, '\..*[.,]') END THEN NULL
        ELSE _decimal(n) END, nullif(x::VARCHAR, '')))[1];

-- Trims, makes one space of all white space, drops control characters and the invisible marks of text direction.
CREATE MACRO clean(x) AS list_transform([x::VARCHAR], lambda s: CASE
    WHEN regexp_full_match(s, '[\x21-\x7E]+(?: [\x21-\x7E]+)*') THEN s
    ELSE nullif(trim(regexp_replace(regexp_replace(s,
    '[\x00-\x08\x0E-\x1F\x7F-\x{84}\x{86}-\x{9F}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2066}-\x{2069}\x{FEFF}]', '', 'g'),
    '[\s\x0B\x{85}\p{Z}]+', ' ', 'g')), '') END)[1];

-- Plain ASCII: accents off, letters and signs that have a usual spelling replaced, everything else dropped.
-- Stands in front of DuckDB's own ascii(), which gives the code point of the first character.
CREATE MACRO ascii(x) AS list_transform([x::VARCHAR], lambda s: CASE
    WHEN regexp_full_match(s, '[\x20-\x7E]*') THEN nullif(trim(s), '')
    ELSE nullif(trim(regexp_replace(translate(strip_accents(
        replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(s,
        'ß', 'ss'), 'ẞ', 'SS'), 'æ', 'ae'), 'Æ', 'AE'), 'œ', 'oe'), 'Œ', 'OE'), 'þ', 'th'), 'Þ', 'Th'),
        '€', 'EUR'), '…', '...'), '™', ''), '½', '1/2')),
        'øØłŁđĐðÐħĦıŧŦ‘’‚“”„«»–—−‐‑×· ', 'oOlLdDdDhHitT''''''"""""-----x- '), '[^\x20-\x7E]', '', 'g')), '') END)[1];
