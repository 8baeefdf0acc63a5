"""The addresses that pages lead to. `web/pages` says what answers each."""

from typing import Final

HOME: Final = "/"
CADENCE: Final = "/cadence"
PORTFOLIO_FILE: Final = "/portfolio."
WORKSPACES: Final = "/workspaces"
REPORTS: Final = "/reports"
SHARED: Final = "/shared"
PEOPLE: Final = "/people"
AUDIT: Final = "/audit"
WELCOME: Final = "/welcome"
ACCOUNT: Final = "/account"
APPLICATIONS: Final = "/account/applications"
FACTORS: Final = "/account/factors"
SETTINGS: Final = "/settings"
DEVELOPERS: Final = "/developers"
SIGN_IN: Final = "/sign-in"
SECOND_STEP: Final = "/sign-in/second"
# The parameter with the secret of an invitation.
INVITATION: Final = "invitation"
SWITCH: Final = "/sign-in/switch"
CALLBACK: Final = "/sign-in/callback"
