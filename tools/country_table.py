#!/usr/bin/env python3
"""Writes src/number/country_table.rs from libphonenumber's metadata.

    pip install phonenumbers==9.0.42        # the metadata release rlibphonenumber carries
    python3 tools/country_table.py > src/number/country_table.rs

The table is what the fast path may be sure of without asking the library:
possible lengths, the leading digits at which the library would consider
stripping a national prefix, and how many digits decide a number's type. Regular expressions are replaced by the finite
set of strings they can begin with.
"""
import re._parser as sre

import phonenumbers
from phonenumbers.phonemetadata import PhoneMetadata as Metadata

DEPTH = 3  # leading digits kept of a national prefix for parsing
MAX_LIST = 64  # longer lists of dialling prefixes keep their shortest members only


def strings(tree, depth):
    """Every string the pattern matches, cut at `depth` characters."""
    found = {""}
    for op, arg in tree:
        name = str(op)
        if name == "LITERAL":
            step = {chr(arg)}
        elif name == "IN":
            step = set()
            for kind, value in arg:
                kind = str(kind)
                if kind == "LITERAL":
                    step.add(chr(value))
                elif kind == "RANGE":
                    step |= {chr(c) for c in range(value[0], value[1] + 1)}
                elif kind == "CATEGORY":
                    step |= set("0123456789")
                else:
                    raise ValueError(kind)
        elif name == "BRANCH":
            step = set().union(*(strings(branch, depth) for branch in arg[1]))
        elif name == "SUBPATTERN":
            step = strings(arg[3], depth)
        elif name == "MAX_REPEAT":
            low, high, body = arg
            once, step, power = strings(body, depth), set(), {""}
            for count in range(min(high, max(low, depth) + 1) + 1):
                if count >= low:
                    step |= power
                power = {(a + b)[:depth] for a in power for b in once}
        elif name == "AT":
            step = {""}
        else:
            raise ValueError(name)
        found = {(a + b)[:depth] for a in found for b in step}
    return found


def language(pattern, depth):
    return strings(sre.parse(pattern), depth) if pattern else set()


def ends(tree, starts, seen):
    """Where a match can end; `seen` collects the places where it matters which digit stands there."""
    for op, arg in tree:
        name = str(op)
        if name in ("LITERAL", "IN"):
            if str(arg) != "[(CATEGORY, CATEGORY_DIGIT)]":
                seen |= {at + 1 for at in starts}
            starts = {at + 1 for at in starts}
        elif name == "BRANCH":
            starts = set().union(*(ends(branch, starts, seen) for branch in arg[1]))
        elif name == "SUBPATTERN":
            starts = ends(arg[3], starts, seen)
        elif name == "MAX_REPEAT":
            low, high, body = arg
            reached = set()
            for count in range(high + 1):
                if count >= low:
                    reached |= starts
                starts = ends(body, starts, seen) if count < high else starts
            starts = reached
        elif name != "AT":
            raise ValueError(name)
    return starts


TYPES = (
    "general_desc fixed_line mobile toll_free premium_rate shared_cost personal_number voip pager uan voicemail".split()
)


def depth(metadatas):
    """How many leading national digits decide the type and the region."""
    seen = {0}
    for metadata in metadatas:
        descs = (getattr(metadata, name) for name in TYPES)
        patterns = [desc.national_number_pattern for desc in descs if desc]
        for pattern in patterns + [metadata.leading_digits]:
            if pattern:
                ends(sre.parse(pattern), {0}, seen)
    return max(seen)


def shortest(prefixes):
    """Drops members that begin with another member; ten siblings become their parent."""
    kept = set(prefixes) - {""}
    for length in range(DEPTH, 1, -1):
        for parent in {p[: length - 1] for p in kept if len(p) == length}:
            if all(parent + digit in kept for digit in "0123456789"):
                kept.add(parent)
    return sorted(p for p in kept if not any(p != q and p.startswith(q) for q in kept))


def limited(values):
    values = sorted(values - {""}, key=lambda v: (len(v), v))
    return sorted(values) if len(values) <= MAX_LIST else [v for v in values if len(v) == len(values[0])]


def mask(lengths):
    return hex(sum(1 << n for n in lengths if n > 0))


def quoted(values):
    return "&[" + ", ".join(f'"{v}"' for v in values) + "]"


def plan(metadata):
    strips = language(metadata.national_prefix_for_parsing, DEPTH)
    return mask(metadata.general_desc.possible_length), shortest(strips), strips


def main():
    print(f"""\
//! What libphonenumber's metadata (release {phonenumbers.__version__}) says about lengths and prefixes.
//!
//! Written by `tools/country_table.py`; never edited by hand. The tests beside
//! `plan.rs` and `canonical.rs` compare it with the library by probing.

use crate::number::plan::{{CallingCode, Region}};

/// Every country calling code, ascending.
#[rustfmt::skip]
pub(crate) static CALLING_CODES: &[CallingCode] = &[""")
    for code in sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE):
        region = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code][0]
        if region == "001":
            metadatas = [Metadata.metadata_for_nongeo_region(code)]
        else:
            regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]
            metadatas = [Metadata.metadata_for_region(region) for region in regions]
        lengths, strips, _ = plan(metadatas[0])
        print(
            f"    CallingCode {{ code: {code}, lengths: {lengths}, deciding: {depth(metadatas)}, "
            f"strips: {quoted(strips)} }},"
        )
    print("""];

/// Every region with a numbering plan, by ISO 3166 code.
#[rustfmt::skip]
pub(crate) static REGIONS: &[Region] = &[""")
    for name in sorted(phonenumbers.SUPPORTED_REGIONS):
        metadata = Metadata.metadata_for_region(name)
        lengths, strips, whole = plan(metadata)
        nsn_starts = language(metadata.general_desc.national_number_pattern, 1)
        trunk_zero = {s for s in whole if s.startswith("0")} == {"0"} and "0" not in nsn_starts
        idd = limited(language(metadata.international_prefix, 16))
        short = Metadata.short_metadata_for_region(name)
        emergency = short.emergency.national_number_pattern if short and short.emergency else None
        print(
            f'    Region {{ name: "{name}", code: {metadata.country_code}, lengths: {lengths}, '
            f"trunk_zero: {str(trunk_zero).lower()}, strips: {quoted(strips)}, idd: {quoted(idd)}, "
            f"emergency: {quoted(limited(language(emergency, 8)))} }},"
        )
    print("];")


main()
