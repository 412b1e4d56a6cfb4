/* speech.js: speaking instead of typing, hearing instead of reading, by the browser's own means.
 *
 * The browser recognises speech, and most send the sound to their maker for it; so the page says
 * where it goes and asks before it listens for the first time. Only the words reach the service.
 */
import { recall, remember } from './languages.js';

const KEY = 'hydraglot.speech.agreed';
const Recognition = globalThis.SpeechRecognition ?? globalThis.webkitSpeechRecognition;

/** Who hears the sound, as far as a page can know. */
export function listener(agent = navigator.userAgent) {
  if (/Edg\//.test(agent)) return 'Microsoft';
  if (/Chrome\//.test(agent)) return 'Google';
  if (/Safari\//.test(agent)) return 'Apple';
  return '';
}

export class Listening {
  #button;
  #dialog;
  #heard;
  #source;
  #recognition = null;

  /** @param {{button: HTMLElement, dialog: HTMLDialogElement, source: () => string,
   *    heard: (text: string, final: boolean) => void}} of */
  constructor({ button, dialog, source, heard }) {
    this.#button = button;
    this.#dialog = dialog;
    this.#heard = heard;
    this.#source = source;
    button.hidden = !Recognition;
    button.addEventListener('click', () => this.#toggle());
    dialog.addEventListener('close', () => {
      if (dialog.returnValue !== 'yes') return;
      remember(KEY, 'yes');
      this.#start();
    });
  }

  #toggle() {
    if (this.#recognition) this.#recognition.stop();
    else if (recall(KEY) === 'yes') this.#start();
    else {
      this.#dialog.querySelector('.who').textContent = listener();
      this.#dialog.querySelector('.somebody').hidden = !listener();
      this.#dialog.returnValue = ''; /* of the last time; Escape leaves it as it is */
      this.#dialog.showModal();
    }
  }

  #start() {
    const recognition = new Recognition();
    Object.assign(recognition, { lang: this.#source(), continuous: true, interimResults: true });
    recognition.onresult = ({ results, resultIndex }) => {
      const news = Array.from(results).slice(resultIndex);
      for (const result of news.filter(({ isFinal }) => isFinal)) {
        this.#heard(result[0].transcript.trim(), true);
      }
      /* What is not final yet comes in parts, each with its own space before it. */
      const rest = news.filter(({ isFinal }) => !isFinal).map((result) => result[0].transcript);
      if (rest.length) this.#heard(rest.join('').trim(), false);
    };
    recognition.onend = () => this.#listening(null);
    recognition.onerror = () => this.#listening(null);
    recognition.start();
    this.#listening(recognition);
  }

  #listening(recognition) {
    this.#recognition = recognition;
    this.#button.setAttribute('aria-pressed', String(Boolean(recognition)));
  }
}

/** Reads a text aloud; what is being read stops. */
export function speak(text, tag) {
  speechSynthesis.cancel();
  const words = new SpeechSynthesisUtterance(text);
  words.lang = tag;
  speechSynthesis.speak(words);
}
