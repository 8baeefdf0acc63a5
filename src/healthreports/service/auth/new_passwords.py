"""Checks of a new password: too short, too common, or similar to the user's name or address."""

import re
from collections.abc import Sequence
from typing import Final

from healthreports.core.errors import Fault, Problem
from healthreports.core.model import User
from healthreports.core.rules.people import check_password

# The limit of zxcvbn, in characters. What comes after it makes a password no weaker.
_JUDGED: Final = 72
# The best score of 0 to 4: more than 10^10 guesses. A password of 15 characters scores less only if
# it is made of known or repeated parts.
_STRONG: Final = 4
_PRODUCT: Final = "healthreports health reports"
_WORDS: Final = re.compile(r"\w+")


def check_new_password(password: str, user: User, account: Sequence[str] = ()) -> list[Problem]:
    """The faults in a password that `user` chooses. It may take tens of milliseconds.

    The password is compared with the lists of the most common passwords, names and words in the
    package zxcvbn, and with the user's name and address, the names of the `account`, and the name
    of this product (NIST SP 800-63B, 3.1.1.2).
    """
    if problems := check_password(password):
        return problems
    # Imported here because its word lists take about 15 MB, and a process that changes no password
    # does not need them.
    from zxcvbn import zxcvbn  # noqa: PLC0415

    of_user = [user.full_name, user.email_address, *account, _PRODUCT]
    words = [word for text in of_user for word in _WORDS.findall(text)]
    judged = zxcvbn(password[:_JUDGED], user_inputs=[*of_user, *words])
    if judged["score"] < _STRONG:
        return [Problem("password", Fault.EASY_TO_GUESS)]
    return []
