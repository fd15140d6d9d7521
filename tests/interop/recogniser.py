"""A recogniser behind the WebSocket of vosk-server, for the tests: pocketsphinx and the model that comes with it.

Says on standard output which port it listens on. A list of phrases is its grammar: any number of them in any order.
"""

import asyncio
import json

import pocketsphinx
import websockets


def decoder_of(config):
    rate = int(config.get("sample_rate", 16000))
    words = [word for word in config.get("phrase_list", []) if word != "[unk]"]
    decoder = pocketsphinx.Decoder(samprate=rate, loglevel="FATAL")
    if words:
        grammar = "#JSGF V1.0;\ngrammar words;\npublic <words> = ( %s )+ ;" % " | ".join(words)
        decoder.add_jsgf_string("words", grammar)
        decoder.activate_search("words")
    return decoder, rate


def result_of(decoder, begin):
    hypothesis = decoder.hyp()
    words = []
    for segment in decoder.seg() or []:
        if segment.word.startswith(("<", "[", "+", "(")):
            continue
        word = segment.word.split("(")[0]
        start, end = begin + segment.start_frame / 100, begin + segment.end_frame / 100
        words.append({"word": word, "start": start, "end": end, "conf": 0.5})
    text = hypothesis.hypstr if hypothesis else ""
    return {"text": text, "result": words} if words else {"text": text}


async def serve(socket):
    config, ears = {}, None
    decoder, waiting, begin, is_speaking = None, b"", 0.0, False
    async for message in socket:
        if isinstance(message, str):
            message = json.loads(message)
            if "config" in message:
                config = message["config"]
                continue
            if is_speaking:
                decoder.end_utt()
                await socket.send(json.dumps(result_of(decoder, begin)))
            else:
                await socket.send(json.dumps({"text": ""}))
            return
        if decoder is None:
            decoder, rate = decoder_of(config)
            ears = pocketsphinx.Endpointer(sample_rate=rate)
        waiting += message
        while len(waiting) > ears.frame_bytes:
            frame, waiting = waiting[: ears.frame_bytes], waiting[ears.frame_bytes :]
            speech = ears.process(frame)
            if speech is None:
                continue
            if not is_speaking:
                decoder.start_utt()
                is_speaking, begin = True, ears.speech_start
            decoder.process_raw(speech)
            if ears.in_speech:
                hypothesis = decoder.hyp()
                await socket.send(json.dumps({"partial": hypothesis.hypstr if hypothesis else ""}))
            else:
                decoder.end_utt()
                is_speaking = False
                await socket.send(json.dumps(result_of(decoder, begin)))


async def main():
    async with websockets.serve(serve, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())
