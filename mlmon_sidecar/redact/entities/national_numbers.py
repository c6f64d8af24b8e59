"""National numbers with check digits that are digits only, one row each. Sources stand with the rows."""

from __future__ import annotations

from mlmon_sidecar.redact.entities.checksums import is_day, luhn, verhoeff, weighted
from mlmon_sidecar.redact.entities.kinds import CONTEXT, FORM, Number
from mlmon_sidecar.redact.page import Words


def is_bsn(digits: str) -> bool:
    padded = digits.zfill(9)
    return int(padded) > 0 and (weighted(padded, range(9, 1, -1)) - int(padded[8])) % 11 == 0


NL_BSN = Number(  # Wet algemene bepalingen burgerservicenummer; the eleven test
    "nl_bsn",
    {"9": CONTEXT, "8": CONTEXT, "4 2 3": CONTEXT, "4.2.3": CONTEXT, "3 3 3": CONTEXT, "4-2-3": CONTEXT},
    is_bsn,
    Words("bsn|burgerservicenummer|burger service nummer|sofinummer|sofi|sofi-?nummer|citizen service number"),
)


def is_pesel(digits: str) -> bool:
    month = int(digits[2:4]) % 20  # the century is added to the month
    check = -weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10
    return is_day(f"{month:02d}", digits[4:6]) and check == int(digits[10])


PL_PESEL = Number("pl_pesel", {"11": CONTEXT}, is_pesel, Words("pesel|numer ewidencyjny"))  # Dz.U. 2010 nr 217


def is_personnummer(digits: str) -> bool:
    ten = digits[-10:]
    day = int(ten[4:6])
    return is_day(ten[2:4], f"{day - 60 if day > 60 else day:02d}") and luhn(ten)  # a co-ordination number adds 60


SE_PERSONNUMMER = Number(  # Skatteverket, SKV 704
    "se_personnummer",
    {"6-4": FORM, "8-4": FORM, "10": CONTEXT, "12": CONTEXT},
    is_personnummer,
    Words("personnummer|personnr|person-?nr|samordningsnummer|pnr|swedish id|personal number"),
)


def is_cpf(digits: str) -> bool:
    if len(set(digits)) == 1:
        return False
    return all(weighted(digits, range(end + 1, 1, -1)) * 10 % 11 % 10 == int(digits[end]) for end in (9, 10))


BR_CPF = Number(  # Receita Federal, IN 1548/2015
    "br_cpf",
    {"3.3.3-2": FORM, "3 3 3 2": FORM, "9-2": FORM, "11": CONTEXT},
    is_cpf,
    Words("cpf|cadastro de pessoas?|contribuinte"),
)


def is_aadhaar(digits: str) -> bool:
    return digits[0] not in "01" and verhoeff(digits)


IN_AADHAAR = Number(  # UIDAI
    "in_aadhaar",
    {"4 4 4": FORM, "4-4-4": FORM, "12": CONTEXT},
    is_aadhaar,
    Words("aadhaar|aadhar|adhaar|adhar|uidai|uid", ("आधार",)),
)


def is_sin(digits: str) -> bool:
    return digits[0] != "8" and digits != "000000000" and luhn(digits)


CA_SIN = Number(  # Employment and Social Development Canada
    "ca_sin",
    {"3-3-3": FORM, "3 3 3": CONTEXT, "9": CONTEXT},
    is_sin,
    Words("sin|social insurance|assurance sociale|nas"),
)


def is_tfn(digits: str) -> bool:
    return int(digits) > 0 and weighted(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


AU_TFN = Number(  # Australian Taxation Office
    "au_tfn", {"3 3 3": CONTEXT, "3-3-3": CONTEXT, "9": CONTEXT}, is_tfn, Words("tfn|tax file|tax file number")
)


def is_ahv(digits: str) -> bool:
    return digits.startswith("756") and -weighted(digits, (1, 3) * 6) % 10 == int(digits[12])


CH_AHV = Number("ch_ahv", {"3.4.4.2": FORM, "13": FORM}, is_ahv, Words("ahv|avs"))  # BSV; an EAN-13 of its own range


def is_rijksregister(digits: str) -> bool:
    if not is_day(f"{int(digits[2:4]) % 20:02d}", digits[4:6]):
        return False
    return int(digits[9:]) in {97 - int(prefix + digits[:9]) % 97 for prefix in ("", "2")}


BE_RRN = Number(  # Rijksregister: born from 2000 on, a 2 goes before the number
    "be_rrn",
    {"2.2.2-3.2": FORM, "11": CONTEXT},
    is_rijksregister,
    Words("rijksregister|rijksregisternummer|registre national|national number|niss|insz"),
)


def is_fodselsnummer(digits: str) -> bool:
    day, month = int(digits[:2]), int(digits[2:4])
    date = is_day(f"{month - 40 if month > 40 else month:02d}", f"{day - 40 if day > 40 else day:02d}")
    first = -weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11
    second = -weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return date and first == int(digits[9]) and second == int(digits[10])


NO_FNR = Number(  # Skatteetaten
    "no_fnr", {"6 5": FORM, "11": CONTEXT}, is_fodselsnummer, Words("fodselsnummer|fodselsnr|personnummer|fnr")
)


NATIONAL_NUMBERS = (
    NL_BSN, PL_PESEL, SE_PERSONNUMMER, BR_CPF, IN_AADHAAR, CA_SIN, AU_TFN, CH_AHV, BE_RRN, NO_FNR,
)  # fmt: skip
