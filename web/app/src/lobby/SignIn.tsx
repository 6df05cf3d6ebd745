// Signing in, where the server has users or an identity provider.
import { useSignal } from "@preact/signals";
import { providerUrl } from "@roundtable/sdk";
import { loginFor, refusal, signIn, signingIn, signOut, ways } from "../login.ts";
import { home, name } from "../state.ts";
import { text } from "../text.ts";

/** `joinButton` is the id of what comes next when one has signed in. */
export function SignIn({ room, joinButton }: { room: string; joinButton: string }) {
  const user = useSignal("");
  const password = useSignal("");
  const login = loginFor(room);
  if (login !== null) return <SignedIn room={room} as={login.name} />;
  const { password: byPassword, oidc } = ways.value;
  if (!byPassword && oidc === null) return null;

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const isIn = room !== "" && (await signIn(home, room, user.value.trim(), password.value));
    password.value = "";
    if (!isIn) return;
    name.value = loginFor(room)?.name ?? name.value;
    // The form goes, and the focus would go with it.
    document.getElementById(joinButton)?.focus();
  };
  return (
    <section class="sign-in" aria-labelledby="sign-in">
      <h2 id="sign-in">{text.signIn}</h2>
      {byPassword && (
        <form class="lobby-form" onSubmit={(event) => void submit(event)}>
          <label>
            <span>{text.userName}</span>
            <input
              name="user"
              required
              maxLength={64}
              autoComplete="username"
              autoCapitalize="none"
              spellcheck={false}
              value={user.value}
              onInput={(event) => {
                user.value = event.currentTarget.value;
              }}
            />
          </label>
          <label>
            <span>{text.password}</span>
            <input
              name="password"
              type="password"
              required
              maxLength={1024}
              autoComplete="current-password"
              value={password.value}
              onInput={(event) => {
                password.value = event.currentTarget.value;
              }}
            />
          </label>
          <button type="submit" disabled={signingIn.value}>
            {signingIn.value ? text.signingIn : text.signIn}
          </button>
        </form>
      )}
      {oidc !== null && (
        <a class="button" href={providerUrl(home, room)}>
          {text.signInWith(oidc)}
        </a>
      )}
      <div role="alert">{refusal.value !== "" && <p class="problem">{refusal.value}</p>}</div>
    </section>
  );
}

function SignedIn({ room, as }: { room: string; as: string }) {
  return (
    <section class="sign-in signed-in">
      <p role="status">{text.signedInAs(as)}</p>
      <button type="button" onClick={() => signOut(room)}>
        {text.signOut}
      </button>
    </section>
  );
}
