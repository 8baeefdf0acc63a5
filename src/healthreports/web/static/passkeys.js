// Passkeys: ask the browser's authenticator, and put its response into a field of the form.
"use strict";

function bytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (one) => one.charCodeAt(0));
}

function text(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

const described = (all) => all.map((one) => ({ ...one, id: bytes(one.id) }));

async function use(options) {
  const { response, ...found } = await navigator.credentials.get({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      allowCredentials: described(options.allowCredentials),
    },
  }).then((made) => ({ id: made.id, rawId: made.rawId, type: made.type, response: made.response }));
  return {
    ...found,
    rawId: text(found.rawId),
    response: {
      clientDataJSON: text(response.clientDataJSON),
      authenticatorData: text(response.authenticatorData),
      signature: text(response.signature),
      userHandle: response.userHandle && text(response.userHandle),
    },
  };
}

async function make(options) {
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: described(options.excludeCredentials),
    },
  });
  return {
    id: made.id,
    rawId: text(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: text(made.response.clientDataJSON),
      attestationObject: text(made.response.attestationObject),
    },
  };
}

const SAYS = {
  InvalidStateError: "This device has a passkey for you already.",
  NotAllowedError: "Nothing was confirmed. Try again.",
};

if (window.PublicKeyCredential) {
  for (const place of document.querySelectorAll("[data-passkey]")) {
    const field = place.querySelector("input");
    const fault = place.querySelector(".fault");
    const button = place.querySelector("button");
    place.hidden = false;
    for (const note of document.querySelectorAll("[data-no-passkey]")) note.hidden = true;
    button.addEventListener("click", async () => {
      const options = JSON.parse(place.dataset.options);
      fault.hidden = true;
      try {
        const answer = await (place.dataset.passkey === "make" ? make(options) : use(options));
        field.value = JSON.stringify(answer);
        // Other fields of the form, such as a code, are then not required.
        field.form.noValidate = true;
        field.form.requestSubmit();
      } catch (error) {
        fault.textContent = SAYS[error.name] ?? `The passkey did not work: ${error.message}`;
        fault.hidden = false;
      }
    });
  }
}
